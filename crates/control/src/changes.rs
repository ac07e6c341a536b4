//! What differs between two of a kind, in words: for rows of the history and for pages that ask
//! "what would change?". Everything is compared line by line, so nothing that differs is left out.

use domain::{
    build::Source,
    configuration::{Configuration, VariableType, Variables, secret::Secrets},
    history::Change,
    name::HostName,
    policy::Policy,
    registry::PushRule,
    service::{Exposure, Limits, ServiceSpec, Size, Strategy},
};
use std::time::Duration;
use store::releases::PlanParts;

/// A thing as lines: what, and its value. An empty value is none.
type Lines = Vec<(String, String)>;

/// Between two specs; without one before, everything is new.
pub(crate) fn of_spec(before: Option<&ServiceSpec>, after: &ServiceSpec) -> Vec<Change> {
    between(before.map(spec).unwrap_or_default(), spec(after))
}

/// Between two configurations.
pub(crate) fn of_configuration(
    before: Option<&Configuration>,
    after: (&Variables, &Secrets, &Limits),
) -> Vec<Change> {
    let before = before.map(|one| configuration((&one.variables, &one.secrets, &one.limits)));
    between(before.unwrap_or_default(), configuration(after))
}

/// Between two sources; without one before, everything is new.
pub(crate) fn of_source(before: Option<&Source>, after: &Source) -> Vec<Change> {
    between(before.map(source).unwrap_or_default(), source(after))
}

/// Between two policies.
pub(crate) fn of_policy(before: Option<&Policy>, after: &Policy) -> Vec<Change> {
    let lines = domain::policy::lines;
    between(before.map(lines).unwrap_or_default(), lines(after))
}

/// Between two ways a placement may be: how many instances, under which names.
pub(crate) fn of_placement(
    before: Option<(Size, &[HostName])>,
    after: (Size, &[HostName]),
) -> Vec<Change> {
    between(before.map(placement).unwrap_or_default(), placement(after))
}

/// Between what runs and what would run.
pub(crate) fn of_parts(before: Option<&PlanParts>, after: &PlanParts) -> Vec<Change> {
    between(before.map(parts).unwrap_or_default(), parts(after))
}

/// Between two ways a service's images go; without one they go nowhere.
pub(crate) fn of_push_rule(before: Option<&PushRule>, after: Option<&PushRule>) -> Vec<Change> {
    between(before.map(push_rule).unwrap_or_default(), after.map(push_rule).unwrap_or_default())
}

fn push_rule(rule: &PushRule) -> Lines {
    let tags: Vec<_> = rule.tags.iter().map(ToString::to_string).collect();
    let after_build = if rule.after_build { "yes" } else { "no" };
    vec![
        ("repository".to_owned(), rule.repository.to_string()),
        ("tags".to_owned(), tags.join(" ")),
        ("after each build".to_owned(), after_build.to_owned()),
    ]
}

/// One line that was edited.
pub(crate) fn one(what: &str, before: Option<String>, after: Option<String>) -> Change {
    Change { what: what.to_owned(), before, after }
}

fn between(before: Lines, after: Lines) -> Vec<Change> {
    let value = |lines: &Lines, what: &str| {
        lines.iter().find(|(w, value)| w == what && !value.is_empty()).map(|(_, v)| v.clone())
    };
    let gone = before.iter().filter(|(what, _)| !after.iter().any(|(w, _)| w == what));
    after
        .iter()
        .chain(gone)
        .map(|(what, _)| one(what, value(&before, what), value(&after, what)))
        .filter(|change| change.before != change.after)
        .collect()
}

fn parts(parts: &PlanParts) -> Lines {
    let mut lines =
        vec![line("release", &parts.release.name), line("image", parts.release.image.short())];
    lines.extend(spec(&parts.release.spec));
    lines.push(line("configuration", parts.configuration.number));
    let Configuration { variables, secrets, limits, .. } = &parts.configuration;
    lines.extend(configuration((variables, secrets, limits)));
    lines
}

fn spec(spec: &ServiceSpec) -> Lines {
    let check = &spec.readiness;
    vec![
        line(
            "port",
            match spec.exposure {
                Exposure::Http { port } => port.to_string(),
                Exposure::None => "none".to_owned(),
            },
        ),
        line("health path", &check.path),
        line("health interval", time(check.interval)),
        line("health timeout", time(check.timeout)),
        line("health retries", check.retries),
        line("start period", time(check.start_period)),
        line("version field", spec.version_field.as_ref().map_or("", |field| field.as_str())),
        // Quoted, so that the arguments can be told apart.
        line(
            "command",
            spec.command.iter().map(|a| format!("{a:?}")).collect::<Vec<_>>().join(" "),
        ),
        line("user", spec.user.map(|user| user.to_string()).unwrap_or_default()),
        line(
            "strategy",
            match spec.strategy {
                Strategy::BlueGreen => "blue-green",
                Strategy::Recreate => "recreate",
            },
        ),
        line("writable root", yes(spec.writable_root)),
    ]
}

fn configuration((variables, secrets, limits): (&Variables, &Secrets, &Limits)) -> Lines {
    let mut lines = Lines::new();
    for (name, variable) in &variables.0 {
        lines.push(line(name.as_str(), variable.shown()));
        if *variable.kind() != VariableType::Text {
            lines.push(line(&format!("type of {name}"), variable.kind().as_words()));
        }
        lines.push(line(&format!("what {name} is for"), variable.description()));
    }
    for (name, version) in &secrets.0 {
        lines.push(line(name.as_str(), format!("secret, version {}", version.version)));
    }
    lines.push(line("CPU", format!("{} cores", f64::from(limits.cpu_millis) / 1000.0)));
    lines.push(line("memory", bytes(limits.memory_bytes)));
    lines.push(line("processes", limits.pids));
    lines
}

fn source(source: &Source) -> Lines {
    let recipe = &source.recipe;
    let mut lines = vec![
        line("git address", &source.url),
        line("built at", source.default_ref.short()),
        line("folder", &recipe.folder),
        line("recipe", recipe.file.as_ref().map_or("", |file| file.as_str())),
        line("stage", recipe.stage.as_ref().map_or("", |stage| stage.as_str())),
        line("platform", recipe.platform.as_ref().map_or("", |platform| platform.as_str())),
        line("without cache", yes(recipe.no_cache)),
        line("size budget", bytes(source.size_budget_bytes)),
    ];
    lines.extend(
        recipe.arguments.iter().map(|(name, value)| line(&format!("argument {name}"), value)),
    );
    lines
}

fn placement((size, hosts): (Size, &[HostName])) -> Lines {
    let hosts = hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    vec![line("instances", size.count()), line("host names", hosts)]
}

fn line(what: &str, value: impl ToString) -> (String, String) {
    (what.to_owned(), value.to_string())
}

fn yes(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}

fn time(time: Duration) -> String {
    match (time.as_secs(), time.subsec_millis()) {
        (seconds, 0) => format!("{seconds} s"),
        (seconds, millis) => format!("{} ms", seconds * 1000 + u64::from(millis)),
    }
}

fn bytes(bytes: u64) -> String {
    if bytes.is_multiple_of(1 << 20) {
        format!("{} MiB", bytes >> 20)
    } else {
        format!("{bytes} bytes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{
        configuration::{Variable, secret::Version},
        id::{ConfigurationId, SecretId},
    };

    #[test]
    fn what_was_added_changed_and_removed_is_told_and_nothing_else() {
        let parse = |lines| Variables::parse(lines, &Variables::default()).expect("good");
        let secrets = |version| {
            let version = Version { secret: SecretId(uuid::Uuid::nil()), version };
            Secrets([("KEY".parse().expect("a name"), version)].into())
        };
        let before = Configuration {
            id: ConfigurationId(uuid::Uuid::nil()),
            number: 1,
            variables: parse("A=1\nB=2\nC="),
            secrets: secrets(1),
            limits: Limits::DEFAULT,
        };
        let mut after = parse("B=3\nC=\nD=4");
        let flag = Variable::new(VariableType::YesNo, "yes").expect("good");
        after.0.insert("E".parse().expect("a name"), flag.described("New door").expect("good"));

        let changes = of_configuration(Some(&before), (&after, &secrets(2), &Limits::DEFAULT));

        let told = |what: &str, before: Option<&str>, after: Option<&str>| {
            one(what, before.map(str::to_owned), after.map(str::to_owned))
        };
        assert_eq!(
            changes,
            [
                told("B", Some("2"), Some("3")),
                told("D", None, Some("4")),
                told("E", None, Some("yes")),
                told("type of E", None, Some("yes or no")),
                told("what E is for", None, Some("New door")),
                told("KEY", Some("secret, version 1"), Some("secret, version 2")),
                told("A", Some("1"), None)
            ]
        );
    }

    #[test]
    fn every_number_of_a_policy_is_compared() {
        let before = Policy::of_new(false);
        let after = Policy { slower_ms: 101, root_allowed: true, ..before.clone() };

        let changes = of_policy(Some(&before), &after);

        assert_eq!(changes.len(), 2);
        assert_eq!(of_policy(None, &after).len(), 17);
    }
}

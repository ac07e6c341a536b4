//! What is given comes to what is meant, or is refused by name.

use clap::{CommandFactory, Parser};
use domain::policy::Policy;
use server::{
    cli::Cli,
    config::{Around, DatabaseChoice, Given, Refused, Settings, file, reference},
};
use std::{path::PathBuf, time::Duration};

fn around() -> Around {
    Around {
        home: Some("/home/ana".into()),
        is_root: false,
        directory: "/somewhere".into(),
        program: "/opt/pilothouse/pilothouse".into(),
        ..Around::default()
    }
}

fn given(toml: &str) -> Given {
    file::parse(toml).expect("a file that can be read")
}

fn settings(toml: &str) -> Result<Settings, Refused> {
    Settings::from_given(given(toml), &around())
}

fn refused(toml: &str) -> String {
    settings(toml).expect_err("refused").to_string()
}

#[test]
fn without_any_setting_it_is_a_console_for_this_machine() {
    let settings = settings("").unwrap();

    assert_eq!(settings.data_dir, PathBuf::from("/home/ana/.local/share/pilothouse"));
    assert_eq!(settings.listen.to_string(), "127.0.0.1:7300");
    assert_eq!(settings.public_url.to_string(), "http://localhost:7300");
    assert_eq!(settings.database, DatabaseChoice::Private);
    assert_eq!(settings.site_dir, PathBuf::from("/opt/pilothouse/site"));
    assert_eq!(settings.router_socket, settings.data_dir.join("router/control.sock"));
    assert_eq!(settings.docker, PathBuf::from("/var/run/docker.sock"));
}

#[test]
fn an_unknown_setting_in_the_file_is_refused_by_name() {
    let why = file::parse("lisen = \"127.0.0.1:1\"").unwrap_err();

    assert!(why.contains("unknown field `lisen`"), "{why}");
}

#[test]
fn a_file_that_can_not_be_read_is_refused_without_the_passwords_in_it() {
    for line in [
        "database_url = \"postgres://app:hunter2@host/db",
        "database_url = \"postgres://app:hunter2@host/db\" x",
        "database_url = [\"postgres://app:hunter2@host/db\"]",
        "database_ur = \"postgres://app:hunter2@host/db\"",
        "postgres://app:hunter2@host/db",
    ] {
        let why = file::parse(&format!("max_streams = 5\n{line}\n")).unwrap_err();

        assert!(why.starts_with("line 2, "), "{why}");
        assert!(!why.contains("hunter2"), "{why}");
    }
}

#[test]
fn an_unknown_setting_in_the_environment_is_refused_by_name() {
    let known = reference::variables();
    let check = |name| file::refuse_unknown_variables([name].into_iter(), &known);

    let refused = check("PILOTHOUSE_LISEN").unwrap_err();

    assert_eq!(refused.setting, "PILOTHOUSE_LISEN");
    for fine in ["PILOTHOUSE_LISTEN", "PILOTHOUSE_CONFIG", "PILOTHOUSE_ROUTER_LISTEN", "HOME"] {
        assert_eq!(check(fine), Ok(()), "{fine}");
    }
}

#[test]
fn a_bad_value_is_refused_by_name() {
    for (toml, setting) in [
        ("listen = \"here\"", "listen"),
        ("public_url = \"example.com\"", "public_url"),
        ("address_pool = \"8.8.0.0/16\"", "address_pool"),
        ("name_prefix = \"Pilot House\"", "name_prefix"),
        ("log_format = \"xml\"", "log_format"),
        ("policy = \"observe=2s\"", "policy"),
        ("policy = \"observe_for=2\"", "policy"),
        ("trusted_proxy = [\"proxy\"]", "trusted_proxy"),
        ("stop_within = \"soon\"", "stop_within"),
    ] {
        let why = file::parse(toml).unwrap_err();
        assert!(why.contains(setting), "{toml}: {why}");
    }
    assert!(refused("log_level = \"=,=\"").starts_with("log_level: "));
    assert!(refused("database_url = \"mysql://x\"").starts_with("database_url: "));
    assert!(
        refused("migration_database_url = \"postgres://x\"")
            .starts_with("migration_database_url: ")
    );
    assert!(refused("base_domain = \"a..b\"").starts_with("base_domain: "));
    assert!(refused("max_streams = 0").starts_with("max_streams: "));
}

#[test]
fn a_bad_flag_is_refused_by_name() {
    let error = Cli::try_parse_from(["pilothouse", "--listen", "here"]).unwrap_err().to_string();
    let unknown = Cli::try_parse_from(["pilothouse", "--lisen", "x"]).unwrap_err().to_string();

    assert!(error.contains("--listen"), "{error}");
    assert!(unknown.contains("--lisen"), "{unknown}");
}

#[test]
fn plain_http_never_leaves_the_machine_unless_a_proxy_is_named() {
    let alone = refused("listen = \"0.0.0.0:7300\"");
    let nameless = refused("listen = \"10.0.0.1:7300\"\ntrusted_proxy = [\"10.0.0.5\"]");
    let plain = refused("public_url = \"http://pilothouse.example.com\"");
    let no_proxy = refused("public_url = \"https://pilothouse.example.com\"");
    let good = settings(
        "listen = \"10.0.0.1:7300\"\ntrusted_proxy = [\"10.0.0.5\"]\n\
         public_url = \"https://pilothouse.example.com\"",
    );

    assert!(
        alone.starts_with("listen: 0.0.0.0:7300 can be reached from other machines"),
        "{alone}"
    );
    assert!(nameless.starts_with("public_url: "), "{nameless}");
    assert!(plain.starts_with("public_url: "), "{plain}");
    assert!(no_proxy.starts_with("trusted_proxy: "), "{no_proxy}");
    assert_eq!(good.unwrap().public_url.link("/x"), "https://pilothouse.example.com/x");
}

#[test]
fn flags_win_over_the_file() {
    let cli = Cli::try_parse_from(["pilothouse", "serve", "--listen", "127.0.0.1:9"]).unwrap();
    let merged = cli.given.or(given("listen = \"127.0.0.1:8\"\nbase_domain = \"test\""));

    let settings = Settings::from_given(merged, &around()).unwrap();

    assert_eq!(settings.listen.port(), 9);
    assert_eq!(settings.base_domain, "test");
}

#[test]
fn a_policy_is_changed_field_by_field() {
    let settings = settings("policy = \"observe_for=2s, passes=1,root_allowed=true\"").unwrap();

    let policy = settings.policy.apply(Policy::of_new(true));

    assert_eq!(policy.observe_for, Duration::from_secs(2));
    assert_eq!(policy.passes, 1);
    assert!(policy.root_allowed);
    assert_eq!(policy.warm_for, Policy::of_new(true).warm_for);
}

#[test]
fn passwords_in_addresses_are_not_printed() {
    let settings = settings("database_url = \"postgres://app:geheim@db/pilothouse\"").unwrap();

    assert!(!format!("{settings:?}").contains("geheim"));
}

#[test]
fn every_setting_has_a_sentence_and_help_shows_it() {
    let help = Cli::command().render_long_help().to_string();

    for line in reference::table().lines().skip(2) {
        let cells: Vec<&str> = line.split(" | ").collect();
        assert!(cells[2].len() > 20 && cells[2].contains("Default: "), "{line}");
        assert!(help.contains(cells[1].trim_matches('`')), "{line}");
    }
}

#[test]
fn the_manual_lists_the_settings_as_the_program_has_them() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/OPERATING.md");
    let manual = std::fs::read_to_string(path).unwrap();
    let begin = manual.find("<!-- settings -->").expect("where the table begins");
    let end = manual.find("<!-- /settings -->").expect("where the table ends");

    let table = manual[begin + "<!-- settings -->".len()..end].trim();

    assert_eq!(table, reference::table().trim(), "put what `pilothouse settings` prints there");
}

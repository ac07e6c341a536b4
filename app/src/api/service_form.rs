//! The spec and the limits of a service as they are typed, there and back.
//!
//! One line of the form is one word here, so that a plain form can post it. The defaults are what a
//! new service is offered.

use super::typed;
use domain::{
    error::Problem,
    name::{UrlPath, Wrong},
    service::{Check, Exposure, Limits, ServiceSpec, Size, Strategy},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A spec as it is typed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SpecForm {
    pub port: String,
    pub health_path: String,
    /// In seconds, as are the two below.
    pub interval: String,
    pub timeout: String,
    pub start_period: String,
    pub retries: String,
    pub version_field: String,
    /// One argument a line.
    pub command: String,
    pub user: String,
    /// A checkbox.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub writable_root: Option<String>,
}

impl Default for SpecForm {
    fn default() -> Self {
        Self {
            port: "8080".to_owned(),
            health_path: "/health".to_owned(),
            interval: "1".to_owned(),
            timeout: "5".to_owned(),
            start_period: "30".to_owned(),
            retries: "5".to_owned(),
            version_field: String::new(),
            command: String::new(),
            user: String::new(),
            writable_root: None,
        }
    }
}

impl SpecForm {
    /// Reads it. Each refusal names its field.
    pub fn parse(&self) -> Result<ServiceSpec, Problem> {
        Ok(ServiceSpec {
            exposure: Exposure::Http { port: port(&self.port)? },
            readiness: Check {
                path: typed::field::<UrlPath>("health_path", &self.health_path)?,
                interval: seconds("interval", &self.interval, 1, 60)?,
                timeout: seconds("timeout", &self.timeout, 1, 60)?,
                retries: within("retries", &self.retries, 0, 100)?,
                start_period: seconds("start_period", &self.start_period, 0, 3600)?,
            },
            version_field: typed::optional("version_field", &self.version_field)?,
            command: command(&self.command)?,
            user: user(&self.user)?,
            strategy: Strategy::BlueGreen,
            writable_root: typed::checked(&self.writable_root),
        })
    }

    /// The words that `parse` reads.
    #[must_use]
    pub fn of(spec: &ServiceSpec) -> Self {
        let check = &spec.readiness;
        Self {
            port: spec.exposure.port().map(|port| port.to_string()).unwrap_or_default(),
            health_path: check.path.to_string(),
            interval: check.interval.as_secs().to_string(),
            timeout: check.timeout.as_secs().to_string(),
            start_period: check.start_period.as_secs().to_string(),
            retries: check.retries.to_string(),
            version_field: spec
                .version_field
                .as_ref()
                .map(|field| field.as_str().to_owned())
                .unwrap_or_default(),
            command: spec.command.join("\n"),
            user: spec.user.map(|user| user.to_string()).unwrap_or_default(),
            writable_root: spec.writable_root.then(|| "yes".to_owned()),
        }
    }
}

/// Limits as they are typed: cores with a fraction, memory in MiB.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LimitsForm {
    pub cpu: String,
    pub memory_mib: String,
    pub pids: String,
}

impl Default for LimitsForm {
    fn default() -> Self {
        Self::of(&Limits::DEFAULT)
    }
}

impl LimitsForm {
    /// Reads them. Each refusal names its field.
    pub fn parse(&self) -> Result<Limits, Problem> {
        Ok(Limits {
            cpu_millis: cpu(&self.cpu)?,
            memory_bytes: memory(&self.memory_mib)?,
            pids: pids(&self.pids)?,
        })
    }

    /// The words that `parse` reads.
    #[must_use]
    pub fn of(limits: &Limits) -> Self {
        Self {
            cpu: (f64::from(limits.cpu_millis) / 1000.0).to_string(),
            memory_mib: (limits.memory_bytes >> 20).to_string(),
            pids: limits.pids.to_string(),
        }
    }
}

/// A port, 1 to 65535.
pub fn port(typed: &str) -> Result<u16, Problem> {
    within("port", typed, 1, u16::MAX)
}

/// A user id, or nothing for the image's own.
pub fn user(typed: &str) -> Result<Option<u32>, Problem> {
    if typed.trim().is_empty() {
        return Ok(None);
    }
    typed.trim().parse().map(Some).map_err(|_| {
        Problem::invalid(
            "user",
            "A user is a number here, for example 1000: names are the image's.",
        )
    })
}

/// Arguments, one a line. An empty line is not an argument.
pub fn command(typed: &str) -> Result<Vec<String>, Problem> {
    let arguments: Vec<String> = typed::lines(typed).map(str::to_owned).collect();
    if arguments.len() > 100 || arguments.iter().any(|argument| argument.len() > 4096) {
        let sentence = "A command has at most 100 arguments of at most 4096 bytes.";
        return Err(Problem::invalid("command", sentence));
    }
    if typed.contains('\0') {
        return Err(Problem::invalid("command", "An argument can not hold a zero byte."));
    }
    Ok(arguments)
}

/// Instances in a slot. Nothing typed is one.
pub fn size(typed: &str) -> Result<Size, Problem> {
    if typed.trim().is_empty() {
        return Ok(Size::ONE);
    }
    let count: u16 = typed::number("size", typed)?;
    Size::try_from(count).map_err(|wrong| Problem::invalid("size", wrong))
}

/// Cores, in thousandths.
pub fn cpu(typed: &str) -> Result<u32, Problem> {
    // 64 cores are the most, so the product is small and whole after rounding.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 65,000")]
    let millis = (typed::fraction("cpu", typed)?.min(65.0) * 1000.0).round() as u32;
    checked("cpu", Limits { cpu_millis: millis, ..Limits::DEFAULT }).map(|limits| limits.cpu_millis)
}

/// Bytes of memory out of MiB.
pub fn memory(typed: &str) -> Result<u64, Problem> {
    let mib: u64 = typed::number("memory_mib", typed)?;
    let limits = Limits { memory_bytes: mib.saturating_mul(1 << 20), ..Limits::DEFAULT };
    checked("memory_mib", limits).map(|limits| limits.memory_bytes)
}

/// Processes and threads.
pub fn pids(typed: &str) -> Result<u32, Problem> {
    let limits = Limits { pids: typed::number("pids", typed)?, ..Limits::DEFAULT };
    checked("pids", limits).map(|limits| limits.pids)
}

fn checked(name: &str, limits: Limits) -> Result<Limits, Problem> {
    limits.checked().map_err(|wrong: Wrong| Problem::invalid(name, wrong))
}

/// Whole seconds between two bounds.
pub fn seconds(name: &str, typed: &str, least: u64, most: u64) -> Result<Duration, Problem> {
    within(name, typed, least, most).map(Duration::from_secs)
}

/// A whole number between two bounds, both included.
pub fn within<T>(name: &str, typed: &str, least: T, most: T) -> Result<T, Problem>
where
    T: std::str::FromStr + PartialOrd + std::fmt::Display,
{
    let number: T = typed::number(name, typed)?;
    if number < least || number > most {
        return Err(Problem::invalid(name, format!("This is {least} to {most}.")));
    }
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_offered_can_be_read() {
        let spec = SpecForm::default().parse().expect("good");
        assert_eq!(SpecForm::of(&spec), SpecForm::default());
        assert_eq!(LimitsForm::default().parse().expect("good"), Limits::DEFAULT);
    }

    #[test]
    fn each_refusal_names_its_field() {
        let form = SpecForm::default();
        let wrong = [
            (SpecForm { port: "0".to_owned(), ..form.clone() }, "port"),
            (SpecForm { health_path: "health".to_owned(), ..form.clone() }, "health_path"),
            (SpecForm { user: "www-data".to_owned(), ..form.clone() }, "user"),
            (SpecForm { timeout: "0".to_owned(), ..form.clone() }, "timeout"),
        ];
        for (form, field) in wrong {
            assert_eq!(form.parse().expect_err("bad").field(), Some(field));
        }
    }

    #[test]
    fn limits_have_bounds_whatever_is_typed() {
        for typed in ["", "0", "99999999999999999999", "-1", "1e400", "nan"] {
            assert!(cpu(typed).is_err(), "cpu {typed}");
            assert!(memory(typed).is_err(), "memory {typed}");
            assert!(pids(typed).is_err(), "pids {typed}");
        }
        assert_eq!(cpu("0.5"), Ok(500));
        assert_eq!(memory("256"), Ok(256 << 20));
    }
}

//! Why an instance died, in words for people. The same in every driver.

/// How a process ended. `memory_bytes`: the most it might have used.
#[must_use]
pub(crate) fn ended(exit_code: Option<i64>, out_of_memory: bool, memory_bytes: u64) -> String {
    if out_of_memory {
        return format!("killed for memory (limit {} MiB)", memory_bytes >> 20);
    }
    match exit_code {
        Some(0) => "ended by itself (exit code 0)".to_owned(),
        Some(code @ 129..=192) => {
            let signal = match code - 128 {
                1 => "SIGHUP".to_owned(),
                2 => "SIGINT".to_owned(),
                6 => "SIGABRT".to_owned(),
                9 => "SIGKILL".to_owned(),
                11 => "SIGSEGV".to_owned(),
                15 => "SIGTERM".to_owned(),
                other => format!("signal {other}"),
            };
            format!("ended by {signal} (exit code {code})")
        }
        Some(code) => format!("exit code {code}"),
        None => "ended, and nobody says how".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_said_in_words() {
        assert_eq!(ended(Some(1), false, 0), "exit code 1");
        assert_eq!(ended(Some(0), false, 0), "ended by itself (exit code 0)");
        assert_eq!(ended(Some(137), false, 0), "ended by SIGKILL (exit code 137)");
        assert_eq!(ended(Some(137), true, 64 << 20), "killed for memory (limit 64 MiB)");
    }
}

//! `hello` is a small service to deploy on the first day.
//!
//! It shows which version and slot answered, streams, and can be told by its image to
//! misbehave, so that a rollout has something to catch. The same binary is a load
//! generator (`hello load`), because a claim such as "no request was lost" needs a
//! witness that is not Pilothouse itself. It knows nothing of Pilothouse but the few
//! variables every service is given.

mod answers;
mod load;
mod page;
mod serve;
mod streams;
mod switches;

use std::process::ExitCode;

const USAGE: &str = "\
hello                        serve on 0.0.0.0:$PORT (8080)
hello load URL [--OPTION N]  put load on a service of this machine, print a report as JSON

Options of load, with their defaults:
  --rate 100          requests sent per second, whether or not earlier ones were answered
  --seconds 10        how long to send; SIGINT or SIGTERM ends it early, with its report
  --closing 30        of 100 requests, how many use a connection of their own
  --websockets 0      WebSocket clients, each sending ten messages a second to /ws
  --events 0          clients that follow /events
  --timeout-ms 10000  after which a request, or a silent stream, has failed
";

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.first().map(String::as_str) {
        None | Some("serve") => serve::run().await,
        Some("load") => load::run(&arguments[1..]).await,
        Some(_) => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hello: {error:#}");
            ExitCode::FAILURE
        }
    }
}

//! Asking pods and Services over HTTP, through the API server: it reaches them wherever we are.
//!
//! It asks a Service's addresses itself. So an answer says that the Service leads to who answers, and
//! not that each node's packet rules do by now: those are at most a second behind.

use super::{KubernetesTarget, names::Names, pods::SeenPod};
use crate::{BODY_KEPT, Result};
use domain::{
    id::RolloutId,
    slot::Slot,
    target::{Answer, InstanceState, Place, Probe},
};
use futures::future::join_all;
use http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use kube::client::Body;
use std::{
    fmt,
    time::{Duration, Instant},
};

/// What the API server says when it did not get an answer itself.
const STATUS: &str = "\"kind\":\"Status\"";

/// `Target::probe`.
pub(super) async fn probe(
    target: &KubernetesTarget,
    place: &Place,
    slot: Slot,
    maker: RolloutId,
    probe: &Probe,
) -> Result<Vec<Answer>> {
    let preview = Names::of(place).preview();
    let look = async {
        tokio::try_join!(
            target.pods(place),
            target.active(place),
            target.served_by(place, &preview)
        )
    };
    let (pods, active, served) = target.errors.in_time(look).await?;
    let is_live = active.and_then(|active| active.live()) == Some(slot);
    let asked: Vec<_> = pods
        .iter()
        .filter(|one| one.identity.slot == slot && one.identity.maker == maker && !one.ending)
        .collect();
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let path = probe.check.path.as_str();
    let direct = join_all(asked.iter().map(|one| ask(target, place, one, probe)));
    let through = async {
        if is_live {
            None
        } else {
            Some(through(target, place, &preview, path, probe.check.timeout).await)
        }
    };
    let (mut answers, through) = tokio::join!(direct, through);
    if let Some(through) = through {
        // An idle slot proves itself on the way that requests will come.
        for (answer, one) in answers.iter_mut().zip(&asked).filter(|(answer, _)| answer.passed) {
            let said = if served.contains(&one.name) {
                match &through {
                    Ok((status, _)) if is_pass(*status) => continue,
                    Ok((status, _)) => format!("through the preview Service: {}", status.as_u16()),
                    Err(why) => format!("through the preview Service: {why}"),
                }
            } else {
                "the preview Service does not lead to it yet".to_owned()
            };
            answer.passed = false;
            answer.said = format!("{}; {said}", answer.said);
        }
    }
    answers.sort_by_key(|answer| answer.number);
    Ok(answers)
}

fn is_pass(status: StatusCode) -> bool {
    status.is_success() || status.is_redirection()
}

async fn ask(target: &KubernetesTarget, place: &Place, one: &SeenPod, probe: &Probe) -> Answer {
    let path = probe.check.path.as_str();
    let begun = Instant::now();
    let outcome = match &one.state {
        InstanceState::Running => {
            let of = format!("pods/{}:{}", one.name, probe.port);
            exchange(target, place, &of, path, probe.check.timeout).await
        }
        InstanceState::Starting => Err("is not running yet".to_owned()),
        InstanceState::Exited { why } => Err(format!("does not run: {why}")),
    };
    let took = begun.elapsed();
    let (passed, said, body) = match outcome {
        Ok((status, body)) => {
            let said = format!("GET {path} {} in {}", status.as_u16(), Spoken(took));
            (is_pass(status), said, body)
        }
        Err(said) => (false, said, String::new()),
    };
    Answer { instance: one.name.clone(), number: one.number, passed, said, body, took }
}

/// What a Service answers.
pub(super) async fn through(
    target: &KubernetesTarget,
    place: &Place,
    service: &str,
    path: &str,
    timeout: Duration,
) -> Result<(StatusCode, String), String> {
    let of = format!("services/{service}:{}", super::objects::PORT);
    exchange(target, place, &of, path, timeout).await
}

/// The status and the beginning of the body, if the whole answer came in time.
async fn exchange(
    target: &KubernetesTarget,
    place: &Place,
    of: &str,
    path: &str,
    timeout: Duration,
) -> Result<(StatusCode, String), String> {
    let namespace = target.namespace(place).map_err(|error| error.to_string())?;
    let uri = format!("/api/v1/namespaces/{namespace}/{of}/proxy{path}");
    let answer = async {
        let request = Request::get(uri)
            .header(header::USER_AGENT, "pilothouse-check")
            .body(Body::empty())
            .map_err(|error| error.to_string())?;
        let answer = target.asking.send(request).await;
        let answer = answer.map_err(|error| target.errors.sorted(error).to_string())?;
        let status = answer.status();
        let mut body = answer.into_body();
        let mut kept = Vec::new();
        // Read to its end, though only the beginning is kept: a pass is a whole answer.
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| format!("the answer was cut off: {error}"))?;
            if let Ok(data) = frame.into_data() {
                let room = BODY_KEPT - kept.len();
                kept.extend_from_slice(&data[..data.len().min(room)]);
            }
        }
        Ok((status, String::from_utf8_lossy(&kept).into_owned()))
    };
    let (status, body) = tokio::time::timeout(timeout, answer)
        .await
        .unwrap_or_else(|_| Err(format!("no whole answer in {}", Spoken(timeout))))?;
    match refused(status, &body) {
        Some(why) => Err(why),
        None => Ok((status, body)),
    }
}

/// Why there was no answer of who was asked.
fn refused(status: StatusCode, body: &str) -> Option<String> {
    let message = said_itself(status, body)?;
    Some(if message.contains("connection refused") {
        "refused".to_owned()
    } else {
        format!("can't be reached: {}", super::error::sentence(&message))
    })
}

/// What the API server itself says, where it got no answer from who was asked.
pub(super) fn said_itself(status: StatusCode, body: &str) -> Option<String> {
    let is_own = status.is_client_error() || status.is_server_error();
    if !is_own || !body.contains(STATUS) && !body.starts_with("error trying to reach service") {
        return None;
    }
    let said: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    Some(said["message"].as_str().unwrap_or(body).to_owned())
}

/// `4 ms`, `1.2 s`.
struct Spoken(Duration);

impl fmt::Display for Spoken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_millis() {
            ms @ 0..1000 => write!(f, "{ms} ms"),
            _ => write!(f, "{:.1} s", self.0.as_secs_f64()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_api_server_says_itself_is_no_answer_of_the_service() {
        let refused = |status: u16, body: &str| {
            super::refused(StatusCode::from_u16(status).expect("a status"), body)
        };
        let own = r#"{"kind":"Status","message":"error trying to reach service: dial tcp 10.0.0.1:8080: connect: connection refused","code":503}"#;
        let nobody = r#"{"kind":"Status","message":"no endpoints available for service \"api\"","code":503}"#;

        assert_eq!(refused(503, own).as_deref(), Some("refused"));
        assert!(refused(503, nobody).is_some_and(|why| why.contains("no endpoints")));
        assert_eq!(refused(503, "busy"), None);
        assert_eq!(refused(200, own), None);
    }
}

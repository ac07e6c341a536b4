//! As much of HTTP as the tests need, over a plain connection: nothing between them and the server
//! that could hide what it says.

use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

const WITHIN: Duration = Duration::from_secs(40);

/// A request that is being written.
#[derive(Clone, Debug)]
pub struct Ask {
    port: u16,
    method: &'static str,
    path: String,
    headers: Vec<(String, String)>,
    body: String,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Ask {
    pub fn get(port: u16, path: impl Into<String>) -> Self {
        Self { port, method: "GET", path: path.into(), headers: Vec::new(), body: String::new() }
            .header("Host", &format!("localhost:{port}"))
    }

    /// A form that a page of ours sends.
    pub fn post(port: u16, path: impl Into<String>, form: &[(&str, &str)]) -> Self {
        let pairs: Vec<String> =
            form.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
        let mut ask = Self::get(port, path)
            .header("Content-Type", "application/x-www-form-urlencoded")
            .header("Sec-Fetch-Site", "same-origin")
            .header("Accept", "application/json");
        ask.method = "POST";
        ask.body = pairs.join("&");
        ask
    }

    /// Sets a header, or takes it away when the value is empty.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        if !value.is_empty() {
            self.headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    pub fn method(mut self, method: &'static str) -> Self {
        self.method = method;
        self
    }

    /// Sends it and reads the head of the answer; the rest can be read as it comes.
    pub async fn open(self) -> (Answer, Rest) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let mut text = format!("{} {} HTTP/1.1\r\nConnection: close\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        let (length, body) = (self.body.len(), &self.body);
        if self.headers.iter().any(|(name, _)| name == "Transfer-Encoding") {
            text.push_str(&format!("\r\n{length:x}\r\n{body}\r\n0\r\n\r\n"));
        } else {
            text.push_str(&format!("Content-Length: {length}\r\n\r\n{body}"));
        }
        stream.write_all(text.as_bytes()).await.unwrap();

        let mut read = Vec::new();
        let end = loop {
            if let Some(at) = read.windows(4).position(|four| four == b"\r\n\r\n") {
                break at;
            }
            let more = timeout(WITHIN, stream.read_buf(&mut read)).await.expect("in time").unwrap();
            assert!(more > 0, "{} {}: closed before an answer", self.method, self.path);
        };
        let head = String::from_utf8_lossy(&read[..end]).into_owned();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let rest = read.split_off(end + 4);
        (Answer { status, headers, body: String::new() }, Rest { stream, read: rest })
    }

    pub async fn send(self) -> Answer {
        let (mut answer, mut rest) = self.open().await;
        timeout(WITHIN, rest.stream.read_to_end(&mut rest.read)).await.expect("in time").unwrap();
        let chunked = answer.header("transfer-encoding") == Some("chunked");
        let body = if chunked { unchunked(&rest.read) } else { rest.read };
        answer.body = String::from_utf8_lossy(&body).into_owned();
        answer
    }
}

/// A body that has not ended.
pub struct Rest {
    pub stream: TcpStream,
    read: Vec<u8>,
}

impl Rest {
    /// Reads until `wanted` was said. The lengths of chunks are among what is read.
    pub async fn until(&mut self, wanted: &str) -> String {
        self.try_until(wanted, WITHIN).await.unwrap_or_else(|read| panic!("no {wanted} in: {read}"))
    }

    pub async fn try_until(&mut self, wanted: &str, within: Duration) -> Result<String, String> {
        let reading = async {
            loop {
                let text = String::from_utf8_lossy(&self.read).into_owned();
                if text.contains(wanted) {
                    return Ok(text);
                }
                if self.stream.read_buf(&mut self.read).await.unwrap_or(0) == 0 {
                    return Err(text);
                }
            }
        };
        match timeout(within, reading).await {
            Ok(read) => read,
            Err(_) => Err(String::from_utf8_lossy(&self.read).into_owned()),
        }
    }

    /// Whether the server ends it in time.
    pub async fn ends(&mut self, within: Duration) -> bool {
        timeout(within, self.stream.read_to_end(&mut self.read)).await.is_ok()
    }
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The cookie that the answer sets, as it is sent back.
    pub fn cookie(&self) -> Option<String> {
        let set = self.header("set-cookie")?;
        Some(set.split(';').next()?.to_owned())
    }

    /// The id that a server function gave back.
    pub fn id(&self) -> String {
        assert_eq!(self.status, 200, "{}", self.body);
        self.body.trim_matches('"').to_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("{} {error}: {}", self.status, self.body))
    }
}

fn escaped(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = body.windows(2).position(|two| two == b"\r\n") {
        let size = std::str::from_utf8(&body[..end]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            break;
        }
        whole.extend_from_slice(&body[end + 2..end + 2 + size]);
        body = &body[end + 4 + size..];
    }
    whole
}

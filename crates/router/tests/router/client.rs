//! Clients: one that keeps its connection, one that sends bytes as they are.

use super::{process::SOON, upstream::Said};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::{
    Method, Request, Response,
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// The host name of the placement on the stage.
pub const HOST: &str = "api.example.org";

/// A client that keeps its connection.
pub struct Client(SendRequest<Said>);

/// An answer that was read to its end.
pub struct Answer {
    pub status: u16,
    pub headers: hyper::HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        whole(self.begin(get(HOST, path)).await).await
    }

    /// Sends a request and waits for the head of its answer.
    pub async fn begin(&mut self, request: Request<Said>) -> Response<Incoming> {
        self.try_begin(request).await.unwrap()
    }

    pub async fn try_begin(&mut self, request: Request<Said>) -> hyper::Result<Response<Incoming>> {
        self.0.ready().await?;
        timeout(SOON, self.0.send_request(request)).await.expect("an answer begins")
    }
}

/// A request that has no body.
pub fn get(host: &str, path: &str) -> Request<Said> {
    request(Method::GET, host, path, "")
}

pub fn post(path: &str, body: &'static str) -> Request<Said> {
    request(Method::POST, HOST, path, body)
}

fn request(method: Method, host: &str, path: &str, body: &'static str) -> Request<Said> {
    let request = Request::builder().method(method).uri(path).header("host", host);
    request.header("content-length", body.len()).body(Said::whole(body)).unwrap()
}

pub async fn whole(answer: Response<Incoming>) -> Answer {
    let (head, body) = answer.into_parts();
    let body = timeout(SOON, body.collect()).await.expect("an answer ends").unwrap().to_bytes();
    Answer { status: head.status.as_u16(), headers: head.headers, body }
}

/// Asks once, over a connection of its own.
pub async fn ask(address: SocketAddr, request: Request<Said>) -> Answer {
    whole(Client::connect(address).await.begin(request).await).await
}

/// Sends bytes as they are and reads until the other side closes.
pub async fn say(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // It may be refused, and closed, before the last byte is out.
    let _ = stream.write_all(bytes).await;
    rest(&mut stream).await
}

/// What comes until the other side closes.
pub async fn rest(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let _ = timeout(SOON, stream.read_to_end(&mut all)).await.expect("the connection closes");
    String::from_utf8_lossy(&all).into_owned()
}

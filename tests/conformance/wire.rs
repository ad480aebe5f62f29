//! HTTP/1 by hand: what is sent is what stands in the test, byte for byte.

use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::timeout,
};

/// Nothing here takes as long on a machine that works.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Clone)]
pub(crate) struct Request {
    line: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

/// By `alice`, unless somebody else is said.
pub(crate) fn post(target: &str) -> Request {
    request("POST", target)
}

/// A charge of `amount` under `key`.
pub(crate) fn charge(key: &str, amount: i64) -> Request {
    post("/charge").key(key).body(format!("{{\"amount\":{amount}}}"))
}

pub(crate) fn request(method: &str, target: &str) -> Request {
    let line = format!("{method} {target} HTTP/1.1");
    Request { line, headers: Vec::new(), body: Vec::new() }.header("authorization", "Bearer alice")
}

impl Request {
    pub(crate) fn header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub(crate) fn key(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(other, _)| other != name);
        self
    }

    pub(crate) fn by(self, caller: &str) -> Self {
        self.without("authorization").header("authorization", caller)
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn target(mut self, target: &str) -> Self {
        let words: Vec<_> = self.line.split(' ').collect();
        self.line = format!("{} {target} {}", words[0], words[2]);
        self
    }

    pub(crate) fn http_1_0(mut self) -> Self {
        self.line = self.line.replace("HTTP/1.1", "HTTP/1.0");
        self
    }

    /// The head, with further lines.
    fn head(&self, more: &str) -> Vec<u8> {
        let mut head = format!("{}\r\nhost: test\r\n{more}", self.line).into_bytes();
        for (name, value) in &self.headers {
            head.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        head.extend(b"\r\n");
        head
    }

    fn sized_head(&self) -> Vec<u8> {
        self.head(&format!("content-length: {}\r\n", self.body.len()))
    }

    /// All of it.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        [self.sized_head(), self.body.clone()].concat()
    }

    /// The body in pieces of `size` bytes, and trailers.
    pub(crate) fn chunked(&self, size: usize, trailers: &str) -> Vec<u8> {
        let mut bytes = self.head("transfer-encoding: chunked\r\n");
        for piece in self.body.chunks(size) {
            bytes.extend(format!("{:x}\r\n", piece.len()).into_bytes());
            bytes.extend([piece, b"\r\n"].concat());
        }
        bytes.extend(format!("0\r\n{trailers}\r\n").into_bytes());
        bytes
    }

    /// The head alone, which asks whether it may go on.
    pub(crate) fn expecting(&self) -> Vec<u8> {
        self.clone().header("expect", "100-continue").sized_head()
    }

    pub(crate) fn payload(&self) -> &[u8] {
        &self.body
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn replayed(&self) -> bool {
        self.header("idempotent-replayed") == Some("true")
    }

    /// The layer's own no: status, title, and whether it says when to come again.
    pub(crate) fn refusal(&self) -> (u16, String, bool) {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let link = self.header("link").unwrap_or_default();
        assert!(link.starts_with("<https://") && link.ends_with(">; rel=\"describedby\""), "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        assert!(!self.replayed());
        let later = self.header("retry-after").map(|after| assert_eq!(after, "1"));
        (self.status, problem["title"].as_str().unwrap().to_owned(), later.is_some())
    }

    pub(crate) fn is_refused(&self, status: u16, title: &str) {
        assert_eq!(self.refusal(), (status, title.to_owned(), title == "request in flight"));
    }
}

pub(crate) struct Connection(BufReader<TcpStream>);

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap())
    }

    pub(crate) fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        let written = timeout(PATIENCE, self.0.get_mut().write_all(bytes)).await;
        written.expect("nobody reads").unwrap();
    }

    /// Until it is all sent, or the other side wants no more.
    pub(crate) async fn write_if_read(&mut self, bytes: &[u8]) {
        drop(self.0.get_mut().write_all(bytes).await);
    }

    pub(crate) async fn exchange(&mut self, request: &Request) -> Answer {
        self.write(&request.bytes()).await;
        self.answer().await
    }

    /// `None`: the connection broke first.
    pub(crate) async fn try_exchange(&mut self, request: &Request) -> Option<Answer> {
        self.0.get_mut().write_all(&request.bytes()).await.ok()?;
        self.try_answer(false).await
    }

    pub(crate) async fn answer(&mut self) -> Answer {
        self.try_answer(false).await.expect("the connection broke")
    }

    pub(crate) async fn answer_to_head(&mut self) -> Answer {
        self.try_answer(true).await.expect("the connection broke")
    }

    /// `None`: the connection broke first.
    pub(crate) async fn try_answer(&mut self, to_head: bool) -> Option<Answer> {
        timeout(PATIENCE, self.read(to_head)).await.expect("no answer came")
    }

    /// Whether the other side has ended it.
    pub(crate) async fn is_closed(&mut self) -> bool {
        let mut byte = [0];
        matches!(timeout(PATIENCE, self.0.read(&mut byte)).await.expect("it stays open"), Ok(0) | Err(_))
    }

    async fn read(&mut self, to_head: bool) -> Option<Answer> {
        let first = self.line().await?;
        let status = first.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1)?.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status line: {first:?}"));
        let mut headers = Vec::new();
        loop {
            let line = self.line().await?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut answer = Answer { status, headers, body: Vec::new() };
        if !to_head && !matches!(status, 100..=199 | 204 | 304) {
            answer.body = self.body(&answer).await?;
        }
        Some(answer)
    }

    async fn body(&mut self, head: &Answer) -> Option<Vec<u8>> {
        if head.header("transfer-encoding") == Some("chunked") {
            return self.chunks().await;
        }
        let Some(length) = head.header("content-length") else {
            let mut body = Vec::new();
            return self.0.read_to_end(&mut body).await.ok().map(|_| body);
        };
        self.exactly(length.parse().unwrap()).await
    }

    async fn chunks(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let size = usize::from_str_radix(&self.line().await?, 16).unwrap();
            body.extend(self.exactly(size).await?);
            assert_eq!(self.line().await?, "");
            if size == 0 {
                return Some(body);
            }
        }
    }

    async fn exactly(&mut self, length: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.0.read_exact(&mut bytes).await.ok().map(|_| bytes)
    }

    async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.0.read_line(&mut line).await.ok()?;
        (read > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned())
    }
}

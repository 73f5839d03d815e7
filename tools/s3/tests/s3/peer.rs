//! A small S3-compatible store: it gives ranges of objects, path-style, and keeps every request.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// A request as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) method: String,
    /// Path and query, as sent.
    pub(crate) target: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(of, _)| of == name).map(|(_, value)| value.as_str())
    }
}

/// What the peer does with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// As S3 does.
    Serve,
    /// As S3 does, but a refused range has neither `Content-Range` nor a body.
    ServeSilently,
    /// This text, whatever is asked.
    Answer(String),
    /// This text, and the connection is closed.
    AnswerAndClose(String),
    /// The connection is closed without an answer.
    Close,
    /// Nothing is answered, and the connection stays open.
    Hang,
    /// This text, and then nothing more.
    AnswerAndHang(String),
}

#[derive(Debug)]
struct State {
    /// By target.
    objects: HashMap<String, Vec<u8>>,
    behaviour: Behaviour,
    received: Vec<Received>,
    /// Connections that must stay open.
    open: Vec<TcpStream>,
}

/// The peer; its threads end with the process.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Peer {
    /// Starts one with these objects, by their targets.
    pub(crate) fn start(objects: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let state = State {
            objects: objects.into_iter().collect(),
            behaviour: Behaviour::Serve,
            received: Vec::new(),
            open: Vec::new(),
        };
        let peer = Self { address: listener.local_addr().unwrap(), state: Arc::new(Mutex::new(state)) };
        let serving = peer.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let peer = serving.clone();
                thread::spawn(move || peer.converse(&stream));
            }
        });
        peer
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn behave(&self, behaviour: Behaviour) {
        self.state.lock().unwrap().behaviour = behaviour;
    }

    /// The requests since the last time.
    pub(crate) fn take_received(&self) -> Vec<Received> {
        std::mem::take(&mut self.state.lock().unwrap().received)
    }

    fn converse(&self, stream: &TcpStream) {
        let mut reader = BufReader::new(stream);
        while let Some(received) = read_request(&mut reader) {
            let mut writer = stream;
            let behaviour = {
                let mut state = self.state.lock().unwrap();
                state.received.push(received.clone());
                state.behaviour.clone()
            };
            let (answer, after) = match behaviour {
                Behaviour::Serve => (self.serve(&received, true), After::Next),
                Behaviour::ServeSilently => (self.serve(&received, false), After::Next),
                Behaviour::Answer(text) => (text.into_bytes(), After::Next),
                Behaviour::AnswerAndClose(text) => (text.into_bytes(), After::Close),
                Behaviour::Close => (Vec::new(), After::Close),
                Behaviour::Hang => (Vec::new(), After::Keep),
                Behaviour::AnswerAndHang(text) => (text.into_bytes(), After::Keep),
            };
            writer.write_all(&answer).unwrap();
            match after {
                After::Next => {}
                After::Keep => {
                    self.state.lock().unwrap().open.push(stream.try_clone().unwrap());
                    return;
                }
                After::Close => {
                    let _ = stream.shutdown(Shutdown::Both);
                    return;
                }
            }
        }
    }

    fn serve(&self, received: &Received, tells_length: bool) -> Vec<u8> {
        let state = self.state.lock().unwrap();
        let Some(range) = received.header("range").filter(|_| received.method == "GET") else {
            return xml(400, "InvalidRequest", "only a GET with a range");
        };
        let Some(object) = state.objects.get(&received.target) else {
            return xml(404, "NoSuchKey", "The specified key does not exist.");
        };
        let Some((start, end)) = resolve(range, object.len()) else {
            let content_range = format!("Content-Range: bytes */{}\r\n", object.len());
            let content_range = if tells_length { content_range.as_str() } else { "" };
            return format!("HTTP/1.1 416 No\r\n{content_range}Content-Length: 0\r\n\r\n").into_bytes();
        };
        let head = format!(
            "HTTP/1.1 206 Partial Content\r\nETag: \"e1\"\r\nContent-Range: bytes {start}-{}/{}\r\n\
             Content-Length: {}\r\n\r\n",
            end - 1,
            object.len(),
            end - start
        );
        [head.as_bytes(), &object[start..end]].concat()
    }
}

enum After {
    Next,
    Keep,
    Close,
}

/// An answer as S3 gives its errors.
pub(crate) fn xml(status: u16, code: &str, message: &str) -> Vec<u8> {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    );
    let head = format!("HTTP/1.1 {status} Status\r\nContent-Type: application/xml\r\n");
    format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// Start and end of a range as RFC 9110 has it; `None` where it cannot be satisfied.
fn resolve(range: &str, len: usize) -> Option<(usize, usize)> {
    let (first, last) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
    let (start, end) = if first.is_empty() {
        let count: usize = last.parse().unwrap();
        (len.saturating_sub(count), len)
    } else {
        (first.parse().unwrap(), len.min(last.parse::<usize>().unwrap() + 1))
    };
    (start < end).then_some((start, end))
}

fn read_request(reader: &mut impl BufRead) -> Option<Received> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|len| *len > 0)?;
    let mut parts = line.split_whitespace();
    let (method, target) = (parts.next()?.to_owned(), parts.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|len| *len > 0)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    Some(Received { method, target, headers })
}

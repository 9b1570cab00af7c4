//! A server that does with each request what it is told, and remembers what it was asked.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What is done with one request.
pub enum Act {
    /// These bytes; the connection stays open.
    Say(Vec<u8>),
    /// These bytes, and the connection is cut.
    Cut(Vec<u8>),
    /// Nothing, for so long.
    Hang(Duration),
}

/// The right answer, as MLflow gives it.
pub fn ok(json: &str) -> Act {
    Act::Say(answer("200 OK", "Content-Type: application/json\r\n", json))
}

/// Any other answer.
pub fn status(status: &str, headers: &str, body: &str) -> Act {
    Act::Say(answer(status, headers, body))
}

pub fn answer(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// One request.
#[derive(Debug, Clone)]
pub struct Asked {
    pub line: String,
    pub head: String,
    pub body: Vec<u8>,
    /// Which connection it came on.
    pub connection: usize,
}

pub struct Scripted {
    pub url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Scripted {
    /// What follows the last act is a cut connection.
    pub fn start(acts: impl IntoIterator<Item = Act>) -> Self {
        Self::with(acts, |stream| stream)
    }

    /// The same behind something else that is spoken first.
    pub fn with<S: Read + Write + Send + 'static>(
        acts: impl IntoIterator<Item = Act>,
        wrap: impl Fn(TcpStream) -> S + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let acts: Arc<Mutex<VecDeque<Act>>> = Arc::new(Mutex::new(acts.into_iter().collect()));
        let asked = Arc::new(Mutex::new(vec![]));
        let (remembered, wrap) = (Arc::clone(&asked), Arc::new(wrap));
        // It ends with the process: a listener cannot be woken.
        std::thread::spawn(move || {
            for (connection, stream) in listener.incoming().enumerate() {
                let (acts, remembered, wrap) = (Arc::clone(&acts), Arc::clone(&remembered), Arc::clone(&wrap));
                std::thread::spawn(move || serve(wrap(stream.unwrap()), connection, &acts, &remembered));
            }
        });
        Self { url, asked }
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// The request lines, without the version.
    pub fn lines(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.line.trim_end_matches(" HTTP/1.1").to_owned()).collect()
    }
}

fn serve<S: Read + Write>(stream: S, connection: usize, acts: &Mutex<VecDeque<Act>>, asked: &Mutex<Vec<Asked>>) {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read(&mut stream, connection) {
        asked.lock().unwrap().push(request);
        let act = acts.lock().unwrap().pop_front();
        match act {
            Some(Act::Say(bytes)) => {
                let _ = stream.get_mut().write_all(&bytes).and_then(|()| stream.get_mut().flush());
            }
            Some(Act::Cut(bytes)) => {
                let _ = stream.get_mut().write_all(&bytes).and_then(|()| stream.get_mut().flush());
                return;
            }
            Some(Act::Hang(time)) => std::thread::sleep(time),
            None => return,
        }
    }
}

/// `None` where the connection has ended.
fn read<S: Read + Write>(stream: &mut BufReader<S>, connection: usize) -> Option<Asked> {
    let mut head = String::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line == "\r\n" {
            break;
        }
        head.push_str(&line);
    }
    let value = |name: &str| {
        head.lines().find_map(|line| line.split_once(": ").filter(|(key, _)| key.eq_ignore_ascii_case(name))).map(|(_, value)| value)
    };
    if value("expect").is_some() {
        stream.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?;
    }
    let mut body = vec![0; value("content-length").map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).ok()?;
    Some(Asked { line: head.lines().next().unwrap_or_default().to_owned(), head, body, connection })
}

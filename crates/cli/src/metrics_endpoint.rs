//! The live figures of a training run, for Prometheus: a listener that answers `GET /metrics` with text.
//!
//! An HTTP library was refused: one response to one path, one connection at a time, is what Prometheus needs here.

use anmok_train::LiveFigures;
use anyhow::Context;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// How long a connection may take to send its request or to take the answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Requests are short: more than this is not one.
const LONGEST_REQUEST: u64 = 16 * 1024;

/// Listens at `address` (port 0: any free one) until the program ends. Returns the address.
pub fn serve(address: SocketAddr, figures: Arc<LiveFigures>) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(address)
        .with_context(|| format!("cannot serve metrics at {address}: choose another with --metrics-addr (port 0 takes any free one)"))?;
    let bound = listener.local_addr()?;
    std::thread::Builder::new().name("metrics".to_owned()).spawn(move || {
        for stream in listener.incoming().flatten() {
            if let Err(e) = answer(stream, &figures) {
                tracing::debug!("a request for metrics was given up: {e}");
            }
        }
    })?;
    Ok(bound)
}

fn answer(mut stream: TcpStream, figures: &LiveFigures) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream.try_clone()?).take(LONGEST_REQUEST);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let mut header = String::new();
    while reader.read_line(&mut header)? > 2 {
        header.clear();
    }
    let (status, body) = match request.split_whitespace().take(2).collect::<Vec<_>>().as_slice() {
        ["GET" | "HEAD", "/metrics"] => ("200 OK", figures.render_prometheus()),
        ["GET" | "HEAD", _] => ("404 Not Found", "the figures are at /metrics\n".to_owned()),
        _ => ("405 Method Not Allowed", "only GET\n".to_owned()),
    };
    let content = if request.starts_with("HEAD") { "" } else { &body };
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{content}"
    )
}

//! Connections: accepting them, their time limits, and ending in good order.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio_io_timeout::TimeoutWriter;

use crate::front::Front;
use crate::shutdown::Shutdown;

/// How long a client may take to send the head of a request, idle time between two requests included: the limit that
/// keeps silent connections from piling up.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);

/// Answers requests until `shutdown`; then those under way, for at most the options' grace.
pub(crate) async fn serve(listener: TcpListener, front: Front, shutdown: &Shutdown) -> io::Result<()> {
    let graceful = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    let asked = shutdown.asked();
    tokio::pin!(asked);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut asked => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // A client that is gone already, or no file descriptor left: neither ends the server, and waiting a
                // little keeps the second from filling the log.
                tracing::warn!("a connection could not be accepted: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        // Answers are small and are waited for.
        let _ = stream.set_nodelay(true);
        let answering = front.clone();
        let service = service_fn(move |request| {
            let front = answering.clone();
            async move { Ok::<_, Infallible>(front.answer(peer, request).await) }
        });
        // A client that reads nothing would hold its answer, a history or a page of runs, in memory for ever.
        let mut stream = TimeoutWriter::new(stream);
        stream.set_timeout(Some(front.app.options.patience));
        let stream = TokioIo::new(Box::pin(stream));
        let connection = graceful.watch(http.serve_connection(stream, service));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!("a connection from {peer} ended early: {error}");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(front.app.options.grace, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests were still under way after {} s and were cut off", front.app.options.grace.as_secs());
    }
    Ok(())
}

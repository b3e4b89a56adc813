//! Connections of browsers: HTTP/1.1 in the clear, and HTTP/2 as well where encrypted; counted and cut like all others.

use super::connection::{ACCEPT_AGAIN_AFTER, Ends, refuse};
use super::keys::Keys;
use super::tls;
use crate::grpc::Peer;
use axum::Router;
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use std::pin::pin;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};
use tower_service::Service;

/// Serves connections until told to drain, and then until each of them has ended.
pub(super) async fn serve(listener: TcpListener, ends: Ends, keys: Keys, router: Router) {
    let free = Arc::new(Semaphore::new(ends.connections_max));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = ends.drain.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be accepted");
                sleep(ACCEPT_AGAIN_AFTER).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&free).try_acquire_owned() else {
            tracing::warn!(%address, limit = "server.connections_max", "too many connections; one more is closed");
            continue;
        };
        let arrival = match ends.addresses.arrive(address.ip(), ends.streams_max) {
            Ok(arrival) => arrival,
            Err(too_many) => {
                refuse(address, too_many);
                continue;
            }
        };
        let (ends, keys, router) = (ends.clone(), keys.clone(), router.clone());
        connections.spawn(async move {
            let _permit = permit;
            begin(stream, ends, keys, router, arrival.peer()).await;
        });
    }
    drop(listener);
    tokio::select! {
        () = ends.cut.cancelled() => connections.shutdown().await,
        () = async { while connections.join_next().await.is_some() {} } => {}
    }
}

async fn begin(
    stream: TcpStream,
    ends: Ends,
    keys: Keys,
    router: Router,
    peer: Peer,
) {
    let by = Instant::now() + ends.handshake;
    match &keys.encryption {
        None => run(stream, ends, router, peer).await,
        Some(encryption) => {
            let Ok(Ok(stream)) = timeout_at(by, encryption.accept(stream)).await else { return };
            let names = tls::client_names(&stream);
            run(stream, ends, router, peer.proved(names)).await;
        }
    }
}

async fn run<S>(stream: S, ends: Ends, router: Router, peer: Peer)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(ends.handshake);
    builder.http2().timer(TokioTimer::new());
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        router.clone().call(request)
    });
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        _ = connection.as_mut() => return,
        () = ends.drain.cancelled() => {}
    }
    connection.as_mut().graceful_shutdown();
    drop(connection.await);
}

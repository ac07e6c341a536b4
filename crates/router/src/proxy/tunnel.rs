//! A connection that was upgraded: bytes both ways until one side ends or the slot is closed.

use crate::witness::{Failure, Flight, Tally};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use std::{future::poll_fn, io, pin::pin, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split},
    time::timeout,
};
use tracing::debug;

mod frames;

use frames::Frames;

const BUFFER_BYTES: usize = 16 * 1024;

/// A WebSocket's close frame without mask, status 1001: "going away".
const GOING_AWAY: [u8; 4] = [0x88, 0x02, 0x03, 0xE9];

/// For the client to take the farewell.
const FAREWELL_WITHIN: Duration = Duration::from_secs(1);

/// For the instance to say the rest when the client has said everything.
const REST_WITHIN: Duration = Duration::from_secs(60);

/// Both sides agreed to upgrade; carries what they say.
pub async fn run(client: OnUpgrade, instance: OnUpgrade, websocket: bool, mut flight: Flight) {
    let (client, instance) = match (client.await, instance.await) {
        (Ok(client), Ok(instance)) => (client, instance),
        (_, Err(e)) => {
            debug!(error = %e, "An instance did not upgrade");
            return flight.failed(Failure::CutOff);
        }
        // The client left; the flight counts it when it is dropped.
        (Err(_), Ok(_)) => return,
    };
    let (mut from_client, mut to_client) = split(TokioIo::new(client));
    let (mut from_instance, mut to_instance) = split(TokioIo::new(instance));
    let (mut up, mut down) =
        (Count::new(flight.tally_in(), websocket), Count::new(flight.tally_out(), websocket));

    let end = {
        let mut up = pin!(carry(&mut from_client, &mut to_instance, &mut up));
        let mut down = pin!(carry(&mut from_instance, &mut to_client, &mut down));
        let closed = poll_fn(|cx| flight.poll_closed(cx));
        tokio::select! {
            biased;
            () = closed => End::Closed,
            // The client is through: what the instance still has to say is said.
            result = &mut up => match result {
                Ok(()) => { let _ = timeout(REST_WITHIN, down).await; End::Client }
                Err(Broken::Reading) => End::Client,
                Err(Broken::Writing) => End::Instance,
            },
            result = &mut down => match result {
                Ok(()) | Err(Broken::Reading) => End::Instance,
                Err(Broken::Writing) => End::Client,
            },
        }
    };

    up.bytes.tell();
    down.bytes.tell();
    match end {
        End::Closed => {
            if down.frames.as_ref().is_some_and(Frames::at_boundary) {
                let _ = timeout(FAREWELL_WITHIN, to_client.write_all(&GOING_AWAY)).await;
            }
            flight.ended();
        }
        End::Client => flight.ended(),
        // A WebSocket ends with a close frame, other protocols as they like.
        End::Instance => match (&up.frames, &down.frames) {
            (Some(up), Some(down)) if !up.saw_close() && !down.saw_close() => {
                flight.failed(Failure::CutOff);
            }
            _ => flight.ended(),
        },
    }
    let _ = timeout(FAREWELL_WITHIN, to_client.shutdown()).await;
}

enum End {
    Closed,
    Client,
    Instance,
}

enum Broken {
    Reading,
    Writing,
}

struct Count {
    bytes: Tally,
    frames: Option<Frames>,
}

impl Count {
    fn new(bytes: Tally, websocket: bool) -> Self {
        Self { bytes, frames: websocket.then(Frames::default) }
    }
}

/// Carries bytes one way until they end, and passes the end on.
async fn carry<R, W>(from: &mut R, to: &mut W, count: &mut Count) -> Result<(), Broken>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let reading = |_: io::Error| Broken::Reading;
    let writing = |_: io::Error| Broken::Writing;
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let read = from.read(&mut buffer).await.map_err(reading)?;
        if read == 0 {
            return to.shutdown().await.map_err(writing);
        }
        to.write_all(&buffer[..read]).await.map_err(writing)?;
        to.flush().await.map_err(writing)?;
        count.bytes.add(read as u64);
        if let Some(frames) = &mut count.frames {
            frames.pass(&buffer[..read]);
        }
    }
}

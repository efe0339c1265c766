//! A TCP relay in front of a server, with faults: it resets connections, or goes silent without closing any.
//!
//! NOTE: what a silent relay has taken is acknowledged by its kernel, as behind a middlebox that answers for a host
//! that is gone. A link whose packets are lost is in `network.rs`.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::database::{address, with_address};
use super::eventually;

/// Ports where no client's own port can be, and no private server's.
const PORTS: std::ops::Range<u16> = 30_000..32_768;
/// Small, so that a large COPY fills it: the client then has data left that nobody takes.
const BUFFER_BYTES: u32 = 64 * 1024;

/// What happens in mid-stream.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// Both ends get a RST.
    Reset,
    /// Nothing is passed on any more, in either direction.
    Silence,
}

/// Connections are numbered from 0, in order of arrival.
#[derive(Debug, Default)]
struct State {
    is_silent: bool,
    /// How long each read is held up.
    delay: Duration,
    /// The number of the next connection.
    next: u64,
    /// Connections before this one are reset.
    reset_below: u64,
    /// Connections before this one stay silent whatever becomes of the others.
    silent_below: u64,
    /// After so many bytes more towards the server, this.
    armed: Option<(u64, Fault)>,
    /// How many connections were reset.
    resets: u64,
}

/// The relay. It ends with the value.
pub struct Relay {
    runtime: Option<Runtime>,
    state: Arc<watch::Sender<State>>,
    url: String,
}

impl Relay {
    /// A relay to the server of this URL.
    pub fn to(url: &str) -> Self {
        let server = address(url).parse().expect("an address and a port");
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(async { listen() });
        let url = with_address(url, &listener.local_addr().unwrap().to_string());
        let state = Arc::new(watch::Sender::new(State::default()));
        runtime.spawn(accept(listener, server, Arc::clone(&state)));
        Self { runtime: Some(runtime), state, url }
    }

    /// The server's URL by way of the relay.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Lets so many bytes more go to the server, then does this.
    pub fn arm(&self, bytes: u64, fault: Fault) {
        self.state.send_modify(|state| state.armed = Some((bytes, fault)));
    }

    /// Waits until what it was armed with has happened.
    pub fn wait_for_fault(&self) {
        eventually("the relay's fault", || self.state.borrow().armed.is_none().then_some(()));
    }

    /// Resets every connection that there is.
    pub fn reset(&self) {
        self.state.send_modify(reset);
    }

    /// Nothing passes any more; nothing is closed.
    pub fn silence(&self) {
        self.state.send_modify(|state| state.is_silent = true);
    }

    /// Everything passes again, what was held up included.
    pub fn thaw(&self) {
        self.state.send_modify(|state| {
            state.is_silent = false;
            state.delay = Duration::ZERO;
            state.armed = None;
        });
    }

    /// Holds up every read of at most 16 KiB for so long: a slow link, until it is thawed.
    pub fn slow_down(&self, delay: Duration) {
        self.state.send_modify(|state| state.delay = delay);
    }

    /// New connections pass; those that there are stay silent, and open.
    pub fn forget(&self) {
        self.state.send_modify(|state| {
            state.is_silent = false;
            state.silent_below = state.next;
        });
    }

    /// How many connections it has reset.
    pub fn resets(&self) -> u64 {
        self.state.borrow().resets
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(1));
        }
    }
}

fn listen() -> TcpListener {
    let first = u16::try_from(std::process::id() % 2_000).unwrap();
    let bound = PORTS.skip(usize::from(first)).chain(PORTS).find_map(|port| {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(BUFFER_BYTES).unwrap();
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).ok()?;
        socket.listen(64).ok()
    });
    bound.expect("a free port")
}

fn reset(state: &mut State) {
    state.reset_below = state.next;
}

async fn accept(listener: TcpListener, server: SocketAddr, state: Arc<watch::Sender<State>>) {
    while let Ok((client, _)) = listener.accept().await {
        let mut number = 0;
        state.send_modify(|state| {
            number = state.next;
            state.next += 1;
        });
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            let mut changes = state.subscribe();
            let connection = Connection { number, state: &state };
            // NOTE: without the borrow that the wait gives, which would be in the way of the next change.
            let to_reset = async { drop(changes.wait_for(|state| number < state.reset_below).await) };
            let is_reset = tokio::select! {
                _ = connection.carry(client, server) => false,
                () = to_reset => true,
            };
            if is_reset {
                state.send_modify(|state| state.resets += 1);
            }
        });
    }
}

/// One connection through the relay.
struct Connection<'a> {
    number: u64,
    state: &'a watch::Sender<State>,
}

impl Connection<'_> {
    /// Carries both directions until both have ended. What is dropped before that is reset.
    async fn carry(&self, mut client: TcpStream, server: SocketAddr) -> io::Result<()> {
        client.set_zero_linger()?;
        self.passes().await;
        let mut server = TcpStream::connect(server).await?;
        server.set_zero_linger()?;
        let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
        let there = self.pump(from_client, to_server, |bytes| self.count(bytes));
        let back = self.pump(from_server, to_client, |_| ());
        tokio::try_join!(there, back).map(drop)
    }

    async fn pump(
        &self,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
        count: impl Fn(u64),
    ) -> io::Result<()> {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let read = from.read(&mut buffer).await?;
            count(read as u64);
            self.passes().await;
            let delay = self.state.borrow().delay;
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            if read == 0 {
                return to.shutdown().await;
            }
            to.write_all(&buffer[..read]).await?;
        }
    }

    /// Waits until this connection is not held up.
    async fn passes(&self) {
        let mut changes = self.state.subscribe();
        let open = changes.wait_for(|state| !state.is_silent && self.number >= state.silent_below).await;
        open.expect("the sender is there");
    }

    /// So many bytes go to the server: it may be the turn of the fault.
    fn count(&self, bytes: u64) {
        self.state.send_if_modified(|state| {
            let Some((left, fault)) = state.armed else { return false };
            if bytes < left {
                state.armed = Some((left - bytes, fault));
                return false;
            }
            state.armed = None;
            match fault {
                Fault::Reset => reset(state),
                Fault::Silence => state.is_silent = true,
            }
            true
        });
    }
}

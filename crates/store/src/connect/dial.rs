//! A stream to the server: the socket, what the kernel watches about it, and TLS where the URL wants it.
//!
//! Both clients get their bytes from here, so that a URL means the same to both. The socket is ours, and not the
//! clients', because sqlx sets no keepalives, neither client knows every `sslmode`, and a session must see the
//! server's first messages to know whom it talks to (`link.rs`).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use projector::ErrorKind;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::link::KeyWatch;
use super::tls;
use crate::url::{Channel, DatabaseUrl, Server};

const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_RETRIES: u32 = 3;
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(30);

/// SSLRequest: its length, and 1234 and 5679 where a version would stand (PostgreSQL's manual, "Message Formats").
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// Why there is no stream.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: ErrorKind,
    /// One line that does not name the database.
    pub(crate) message: String,
    pub(crate) then: Then,
}

/// Whether another channel may fare better, where the mode knows one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// The server was reached, and this channel was refused.
    TryNext,
    /// It would fail the same way.
    GiveUp,
}

impl Failure {
    /// One that another channel may not have.
    pub(super) const fn of_tls(kind: ErrorKind, message: String) -> Self {
        Self { kind, message, then: Then::TryNext }
    }

    fn of_io(error: &io::Error) -> Self {
        let hint = match error.kind() {
            io::ErrorKind::ConnectionRefused => ": no server listens there",
            _ => "",
        };
        Self { kind: ErrorKind::Retry, message: format!("{error}{hint}"), then: Then::GiveUp }
    }
}

/// What carries the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP, which anybody on the way can read.
    Plain,
    /// TLS over TCP.
    Tls,
    /// A unix socket.
    Socket,
}

/// Bytes to and from the server, encrypted or not.
pub(crate) struct Stream {
    transport: Transport,
    inner: Box<dyn Wire>,
    /// Looks at what comes, as long as it has something to learn.
    watch: KeyWatch,
}

/// What a [`Stream`] is made of.
trait Wire: TlsStream + Send + Unpin {}
impl<T: TlsStream + Send + Unpin> Wire for T {}

impl Stream {
    fn new(transport: Transport, inner: impl Wire + 'static) -> Self {
        Self { transport, inner: Box::new(inner), watch: KeyWatch::default() }
    }

    pub(super) const fn transport(&self) -> Transport {
        self.transport
    }

    pub(super) const fn watch(&self) -> &KeyWatch {
        &self.watch
    }
}

/// Connects, as far as the channel goes.
pub(crate) async fn dial(url: &DatabaseUrl, channel: Channel) -> Result<Stream, Failure> {
    match url.server() {
        Server::Socket(directory) => {
            let path = format!("{directory}/.s.PGSQL.{}", url.port());
            let socket = UnixStream::connect(path).await.map_err(|error| Failure::of_io(&error))?;
            Ok(Stream::new(Transport::Socket, Plain(socket)))
        }
        Server::Tcp(host) => {
            let socket = tcp(host, url.port()).await.map_err(|error| Failure::of_io(&error))?;
            secure(url, socket, channel).await
        }
    }
}

async fn tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut error = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in lookup_host((host, port)).await? {
        match TcpStream::connect(address).await {
            Ok(socket) => {
                watch_link(&socket)?;
                return Ok(socket);
            }
            Err(refusal) => error = refusal,
        }
    }
    Err(error)
}

/// Has the kernel end a link that went silent.
fn watch_link(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let socket = SockRef::from(socket);
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_RETRIES);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(TCP_USER_TIMEOUT))
}

async fn secure(url: &DatabaseUrl, mut socket: TcpStream, channel: Channel) -> Result<Stream, Failure> {
    if channel == Channel::Plain {
        return Ok(Stream::new(Transport::Plain, Plain(socket)));
    }
    // Before anything is sent: a file that cannot be read is told even while the server is away.
    let config = tls::client_config(url)?;
    let offer = ask(&mut socket).await.map_err(|error| Failure::of_io(&error))?;
    match (offer, channel) {
        (b'S', _) => handshake(url, config, socket).await,
        (_, Channel::Offered) => Ok(Stream::new(Transport::Plain, Plain(socket))),
        _ => Err(tls::not_offered(url)),
    }
}

/// Asks for TLS. IMPORTANT: reads one byte and no more: what came with it in plain text was put there by somebody
/// in between, and must reach the handshake, which refuses it.
async fn ask(socket: &mut TcpStream) -> io::Result<u8> {
    socket.write_all(&SSL_REQUEST).await?;
    socket.read_u8().await
}

async fn handshake(
    url: &DatabaseUrl,
    config: rustls::ClientConfig,
    socket: TcpStream,
) -> Result<Stream, Failure> {
    let mut connector = MakeRustlsConnect::new(config);
    let made = MakeTlsConnect::<TcpStream>::make_tls_connect(&mut connector, url.server_name());
    let connector = match made {
        Ok(connector) => connector,
        Err(never) => match never {},
    };
    let stream = connector.connect(socket).await.map_err(|error| tls::handshake_failed(url, &error))?;
    Ok(Stream::new(Transport::Tls, stream))
}

/// A socket without TLS.
struct Plain<S>(S);

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Plain<S> {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl TlsStream for Stream {
    fn channel_binding(&self) -> ChannelBinding {
        self.inner.channel_binding()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Plain<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Plain<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(context, buffer);
        self.watch.look(buffer.filled().get(before..).unwrap_or_default());
        polled
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

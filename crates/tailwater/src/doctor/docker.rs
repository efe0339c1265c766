//! The Docker engine: whether it can be asked. Containers are not sampled in this version.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::Finding;

const CHECK: &str = "source.docker";
const DEFAULT: &str = "/var/run/docker.sock";
/// How long the engine may take to answer.
const LIMIT: Duration = Duration::from_secs(3);
/// More than any engine says about its version.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;
/// NOTE: HTTP/1.0, so that the answer ends with the connection and is not cut into chunks.
const REQUEST: &[u8] = b"GET /version HTTP/1.0\r\nHost: docker\r\n\r\n";
const LATER: &str = "nothing: this version of tailwater does not sample containers yet";

/// Where the engine listens: the default, or what `DOCKER_HOST` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Engine {
    Socket(PathBuf),
    Elsewhere(String),
}

/// Finds it in the environment.
pub(super) fn socket(variable: impl Fn(&str) -> Option<String>) -> Engine {
    match variable("DOCKER_HOST").filter(|host| !host.is_empty()) {
        None => Engine::Socket(DEFAULT.into()),
        Some(host) => match host.strip_prefix("unix://") {
            Some(path) => Engine::Socket(path.into()),
            // NOTE: only the scheme is told, the rest may hold a password.
            None => Engine::Elsewhere(host.split(':').next().unwrap_or_default().to_owned()),
        },
    }
}

/// Looks at it.
pub(super) async fn look(engine: Engine) -> Vec<Finding> {
    vec![match engine {
        Engine::Socket(path) => {
            let asked = tokio::time::timeout(LIMIT, ask(&path)).await;
            judge(&path, asked.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())))
        }
        Engine::Elsewhere(scheme) => {
            let found = format!("DOCKER_HOST leads elsewhere ({scheme}), and was not asked; not sampled yet");
            Finding::note(CHECK, found, LATER)
        }
    }]
}

async fn ask(path: &Path) -> io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(path).await?;
    stream.write_all(REQUEST).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await?;
    Ok(answer)
}

fn judge(path: &Path, answer: io::Result<Vec<u8>>) -> Finding {
    let path = path.display();
    let found = match answer {
        Ok(answer) => match version(&answer) {
            Some(version) => format!("{path} answers: Docker engine {version}; not sampled yet"),
            None => format!("{path} answers, but not like a Docker engine; not sampled yet"),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            format!("{path} is not there: no Docker engine; not sampled yet")
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            format!("{path} may not be used by this user; not sampled yet")
        }
        Err(error) => format!("{path} does not answer ({error}); not sampled yet"),
    };
    Finding::note(CHECK, found, LATER)
}

/// The version in an answer of HTTP.
fn version(answer: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(answer).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.lines().next()?.split(' ').nth(1)?;
    let body: Value = serde_json::from_str(body).ok().filter(|_| status == "200")?;
    let word = |field: &str| Some(body.get(field)?.as_str()?.to_owned());
    Some(format!("{}, API {}", word("Version")?, word("ApiVersion")?))
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixListener;

    use super::*;

    #[test]
    fn the_environment_says_where_it_is() {
        let of = |host: Option<&str>| socket(|_| host.map(str::to_owned));
        assert_eq!(of(None), Engine::Socket(DEFAULT.into()));
        assert_eq!(of(Some("")), Engine::Socket(DEFAULT.into()));
        assert_eq!(of(Some("unix:///run/d.sock")), Engine::Socket("/run/d.sock".into()));
        assert_eq!(of(Some("tcp://u:sekret@host:2376")), Engine::Elsewhere("tcp".to_owned()));
    }

    #[tokio::test]
    async fn an_engine_that_answers_is_named_and_others_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("d.sock");
        let told = async |path: &Path| look(Engine::Socket(path.to_owned())).await.remove(0).found;
        assert!(told(&path).await.contains("is not there"));
        let listener = UnixListener::bind(&path).unwrap();
        let answering = tokio::spawn(async move {
            for body in [r#"{"Version":"29.1","ApiVersion":"1.52"}"#, "{}"] {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = vec![0; REQUEST.len()];
                stream.read_exact(&mut request).await.unwrap();
                let answer = format!("HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{body}");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        assert!(told(&path).await.contains("Docker engine 29.1, API 1.52; not sampled yet"));
        assert!(told(&path).await.contains("not like a Docker engine"));
        answering.await.unwrap();
        assert!(told(&path).await.contains("does not answer"));
    }
}

//! Runs a program and takes its answer, within a limit of time and of bytes, without a thread.
//!
//! A program that hangs must not hang the sampler: at the limit it is killed, and what it wrote is dropped.
//! The limit covers the whole run: writing, closing, and ending.

use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, read};
use rustix::process::{Pid as KernelPid, PidfdFlags, pidfd_open};

/// The most bytes of an answer; 100 agents need 5,000.
const ANSWER_BYTES_MAX: usize = 8 << 20;
/// How long a killed program may take to be gone before it is left behind.
const KILL_LIMIT: Duration = Duration::from_millis(200);

/// What a program answered.
#[derive(Debug)]
pub struct Answer {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to its standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to its standard error.
    pub stderr: Vec<u8>,
}

/// Runs `command` to its end, at most for `limit`.
///
/// # Errors
/// `NotFound` when there is no such program, `TimedOut` at the limit, `FileTooLarge` when it writes without end,
/// and what the system refuses.
pub fn run(command: &mut Command, limit: Duration) -> io::Result<Answer> {
    let deadline = Instant::now() + limit;
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let answer = listen(&mut child, deadline);
    if answer.is_err() {
        kill(&mut child);
    }
    answer
}

fn listen(child: &mut Child, deadline: Instant) -> io::Result<Answer> {
    let mut stdout = Stream::new(child.stdout.take().map(OwnedFd::from));
    let mut stderr = Stream::new(child.stderr.take().map(OwnedFd::from));
    while stdout.pipe.is_some() || stderr.pipe.is_some() {
        wait_readable([&stdout.pipe, &stderr.pipe].into_iter().flatten().map(AsFd::as_fd), deadline)?;
        stdout.read()?;
        stderr.read()?;
    }
    let status = wait_end(child, deadline)?;
    Ok(Answer { status, stdout: stdout.text, stderr: stderr.text })
}

/// One of the two pipes, until its end.
struct Stream {
    pipe: Option<OwnedFd>,
    text: Vec<u8>,
}

impl Stream {
    const fn new(pipe: Option<OwnedFd>) -> Self {
        Self { pipe, text: Vec::new() }
    }

    /// Reads once if there is something to read now.
    fn read(&mut self) -> io::Result<()> {
        let Some(pipe) = &self.pipe else { return Ok(()) };
        if !is_readable(pipe.as_fd())? {
            return Ok(());
        }
        self.text.reserve(16 * 1024);
        match read(pipe, spare_capacity(&mut self.text)) {
            Ok(0) => self.pipe = None,
            Ok(_) if self.text.len() > ANSWER_BYTES_MAX => return Err(ErrorKind::FileTooLarge.into()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        Ok(())
    }
}

fn is_readable(fd: BorrowedFd<'_>) -> io::Result<bool> {
    poll_once(&mut [PollFd::from_borrowed_fd(fd, PollFlags::IN)], Duration::ZERO)
}

/// Waits until one of them has something, or has ended.
fn wait_readable<'a>(fds: impl Iterator<Item = BorrowedFd<'a>>, deadline: Instant) -> io::Result<()> {
    let mut fds: Vec<PollFd<'_>> = fds.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
    while !poll_once(&mut fds, left(deadline)?)? {}
    Ok(())
}

/// Whether one of them is ready within `timeout`.
fn poll_once(fds: &mut [PollFd<'_>], timeout: Duration) -> io::Result<bool> {
    let timeout = Timespec::try_from(timeout).map_err(|_| ErrorKind::InvalidInput)?;
    match poll(fds, Some(&timeout)) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::INTR) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// Waits for the end of a program that has closed its pipes: nearly always it has ended already.
fn wait_end(child: &mut Child, deadline: Instant) -> io::Result<ExitStatus> {
    if let Some(status) = child.try_wait()? {
        return Ok(status);
    }
    match pidfd_open(KernelPid::from_child(child), PidfdFlags::empty()) {
        Ok(pidfd) => {
            wait_readable([pidfd.as_fd()].into_iter(), deadline)?;
            child.wait()
        }
        // NOTE: Linux before 5.3 cannot poll a process; there the wait is without a limit.
        Err(Errno::NOSYS) => child.wait(),
        Err(errno) => Err(errno.into()),
    }
}

/// Kills it and takes its exit, so that no zombie stays.
fn kill(child: &mut Child) {
    // NOTE: an error here means that it has ended by itself.
    let _ = child.kill();
    let _ = wait_end(child, Instant::now() + KILL_LIMIT);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Long enough for any machine.
    const FOREVER: Duration = Duration::from_secs(60);

    fn shell(script: &str, limit: Duration) -> io::Result<Answer> {
        run(Command::new("sh").args(["-c", script]), limit)
    }

    #[test]
    fn the_answer_is_whole() {
        let answer = shell("head -c 300000 /dev/zero; echo no >&2; exit 3", FOREVER).unwrap();
        assert_eq!((answer.stdout.len(), answer.status.code()), (300_000, Some(3)));
        assert_eq!(answer.stderr, b"no\n");
    }

    #[test]
    fn a_program_that_is_not_there() {
        let error = run(&mut Command::new("/nonexistent/tmux"), FOREVER).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }

    #[test]
    fn a_program_that_hangs_is_killed() {
        let limit = Duration::from_millis(50);
        for script in ["exec sleep 1000", "exec sleep 1000 >&- 2>&-"] {
            let start = Instant::now();
            assert_eq!(shell(script, limit).unwrap_err().kind(), ErrorKind::TimedOut, "{script}");
            assert!(start.elapsed() < FOREVER, "{script}");
        }
    }

    #[test]
    fn a_program_that_writes_without_end_is_killed() {
        assert_eq!(shell("exec cat /dev/zero", FOREVER).unwrap_err().kind(), ErrorKind::FileTooLarge);
    }

    #[test]
    fn a_child_that_keeps_the_pipe_does_not_keep_us() {
        let error = shell("sleep 5 & exit 0", Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }
}

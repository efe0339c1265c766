//! What the samplers read: /proc, and tmux.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use sampler::host::{HostProbe, HostReading, ProcHost};
use sampler::machine;
use sampler::tmux::{ProcTmux, TmuxListing, TmuxProbe, TmuxSettings, command};

use super::{Finding, Subject};
use crate::failure::chain;
use crate::output::counted;
use crate::sources;

/// How long tmux may take to say its version.
const VERSION_LIMIT: Duration = Duration::from_secs(2);

/// Looks at the machine's own numbers.
pub(super) fn host(subject: &Subject) -> Vec<Finding> {
    const CHECK: &str = "source.host";
    if subject.config.host.is_none() {
        return vec![Finding::note(CHECK, "not sampled: host.enabled is false", "nothing, if that is meant")];
    }
    let mut findings = match ProcHost::open() {
        Ok(mut probe) => readable(&probe.read()),
        Err(error) => vec![Finding::failure(CHECK, chain(&error), "mount /proc: nothing is sampled without")],
    };
    let hidden = machine::mount_of(Path::new("/proc")).ok().flatten();
    let hidden = hidden.as_ref().and_then(|mount| mount.value("hidepid"));
    findings.extend(hidepid(hidden, machine::user()));
    findings
}

fn readable(reading: &HostReading) -> Vec<Finding> {
    const CHECK: &str = "source.host";
    const ADVICE: &str = "those numbers stay null; make the file readable where it is hidden from this user";
    let failed = [
        reading.cpu.as_ref().err(),
        reading.memory.as_ref().err(),
        reading.network.as_ref().err(),
        reading.disks.as_ref().err(),
    ];
    let failed: Vec<Finding> =
        failed.into_iter().flatten().map(|error| Finding::warning(CHECK, chain(error), ADVICE)).collect();
    if !failed.is_empty() {
        return failed;
    }
    let cores = reading.cpu.as_ref().map_or(0, |cpu| u64::from(cpu.cores));
    vec![Finding::ok(
        CHECK,
        format!("CPU, memory, network and disks can be read; {}", counted(cores, "core")),
    )]
}

fn hidepid(value: Option<&str>, user: u32) -> Option<Finding> {
    let value = value.filter(|value| !matches!(*value, "0" | "off") && user != 0)?;
    Some(Finding::note(
        "source.processes",
        format!("/proc is mounted with hidepid={value}: processes of other users cannot be seen"),
        "nothing, as long as agents run as the same user; else add this user to the group of the mount's gid=",
    ))
}

/// Looks at tmux as the sampler does.
pub(super) fn tmux(subject: &Subject) -> Vec<Finding> {
    const CHECK: &str = "source.tmux";
    let Some(sampling) = &subject.config.tmux else {
        return vec![Finding::note(CHECK, "not sampled: tmux.enabled is false", "nothing, if that is meant")];
    };
    let server = sources::server(sampling.socket.as_deref());
    let settings = TmuxSettings { server, ..TmuxSettings::default() };
    let listing = ProcTmux::open(settings).and_then(|mut probe| probe.sessions());
    let socket = match &sampling.socket {
        Some(socket) => format!("socket {socket}"),
        None => "the default socket".to_owned(),
    };
    vec![match listing {
        Ok(listing) => listed(&listing, &version(), &socket),
        Err(error) => Finding::warning(
            CHECK,
            format!("{}, {socket}: {}", version(), chain(&error)),
            "run tailwater as the user whose tmux it is, or set tmux.socket",
        ),
    }]
}

fn listed(listing: &TmuxListing, version: &str, socket: &str) -> Finding {
    const CHECK: &str = "source.tmux";
    match listing {
        TmuxListing::NoTmux => {
            Finding::note(CHECK, "tmux is not installed", "install it where agents run in it; else nothing")
        }
        TmuxListing::NoServer => Finding::note(
            CHECK,
            format!("{version}, no server of this user at {socket}"),
            "nothing: it is seen when it starts; a server elsewhere is named by tmux.socket",
        ),
        TmuxListing::Sessions(sessions) => {
            let number = counted(sessions.items.len() as u64, "session");
            match sessions.problems.first() {
                None => Finding::ok(CHECK, format!("{version}, {socket}: {number}")),
                Some(problem) => Finding::warning(
                    CHECK,
                    format!("{version}, {socket}: {number}; {problem}"),
                    "tell the makers of tailwater: this tmux answers in a way that it does not know",
                ),
            }
        }
    }
}

fn version() -> String {
    let answer = command::run(Command::new("tmux").arg("-V"), VERSION_LIMIT);
    let text = answer.map(|answer| String::from_utf8_lossy(answer.stdout.trim_ascii()).into_owned());
    text.ok().filter(|text| !text.is_empty()).unwrap_or_else(|| "tmux".to_owned())
}

#[cfg(test)]
mod tests {
    use sampler::ProbeError;
    use sampler::proc::Parsed;

    use super::super::Sign;
    use super::*;

    #[test]
    fn what_cannot_be_read_of_the_host_is_named() {
        let mut reading = ProcHost::open().unwrap().read();
        assert_eq!(readable(&reading)[0].sign, Sign::Ok);
        let source = std::io::ErrorKind::PermissionDenied.into();
        reading.memory = Err(ProbeError::Read { path: "/proc/meminfo".into(), source });
        let told = readable(&reading);
        assert!(told.len() == 1 && told[0].sign == Sign::Warning, "{told:?}");
        assert!(told[0].found.contains("/proc/meminfo"), "{told:?}");
    }

    #[test]
    fn hidden_processes_matter_to_who_is_not_root() {
        assert_eq!(hidepid(None, 1_000), None);
        assert_eq!(hidepid(Some("0"), 1_000), None);
        assert_eq!(hidepid(Some("invisible"), 0), None);
        assert_eq!(hidepid(Some("2"), 1_000).unwrap().sign, Sign::Note);
    }

    #[test]
    fn each_answer_of_tmux_is_told() {
        let check = |listing: TmuxListing, sign: Sign, words: &str| {
            let told = listed(&listing, "tmux 3.5a", "socket x");
            assert!(told.sign == sign && told.found.contains(words), "{told:?}");
        };
        check(TmuxListing::NoTmux, Sign::Note, "not installed");
        check(TmuxListing::NoServer, Sign::Note, "tmux 3.5a, no server of this user at socket x");
        check(TmuxListing::Sessions(Parsed::default()), Sign::Ok, "socket x: 0 sessions");
        let strange = Parsed { items: Vec::new(), problems: vec!["line 1".to_owned()] };
        check(TmuxListing::Sessions(strange), Sign::Warning, "line 1");
    }
}

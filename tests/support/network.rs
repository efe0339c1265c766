//! A link whose packets get lost: a network namespace, joined to this machine by a pair of virtual devices.
//!
//! To cut it, each end is told a wrong hardware address for the other. Packets then go out, and the other end drops
//! them because they are for somebody else: nobody gets an error, a RST or an ICMP message, as with a cable that is
//! cut behind a switch. (`tc netem`, the usual way, needs a kernel module that is not everywhere.)
//!
//! The namespace lives as long as a process of ours in it, which ends with its standard input, so with the test,
//! however that ends. The devices go with the namespace.

use std::process::{Child, Command, Stdio};

use store::testing::skip;

use super::eventually;

/// Nobody's hardware address.
const NOBODY: &str = "02:00:00:00:00:99";

/// A namespace and the link to it.
pub struct Network {
    holder: Child,
    /// Told apart from those of other tests.
    number: u32,
}

impl Network {
    /// Makes it; `None`, after saying so, where that is not permitted.
    pub fn make() -> Option<Self> {
        let mut holder = Command::new("unshare");
        holder.args(["--net", "cat"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(holder) = holder.spawn() else {
            skip("`unshare` of util-linux is not installed");
            return None;
        };
        let network = Self { number: holder.id() % 16_384, holder };
        if !network.is_permitted() {
            skip("this user may not make network devices (CAP_NET_ADMIN), or there is no `ip` of iproute2");
            return None;
        }
        for (inside, address) in [(false, network.near()), (true, network.far())] {
            let device = network.device(inside);
            network.ip(inside, &["address", "add", &format!("{address}/30"), "dev", &device]);
            network.ip(inside, &["link", "set", &device, "up"]);
        }
        // NOTE: a namespace is born without a way to itself, and the daemon listens there.
        network.ip(true, &["link", "set", "lo", "up"]);
        Some(network)
    }

    /// Makes the devices, as the first thing that needs a permission.
    fn is_permitted(&self) -> bool {
        let pid = self.holder.id();
        let own = std::fs::read_link("/proc/self/ns/net").expect("a namespace");
        let theirs = || std::fs::read_link(format!("/proc/{pid}/ns/net")).ok();
        // It is in this one until it has left it, and in none when it may not.
        eventually("a namespace", || (theirs().as_ref() != Some(&own)).then_some(()));
        let (near, far) = (self.device(false), self.device(true));
        let mut command = Command::new("ip");
        command.args(["link", "add", &near, "type", "veth", "peer", "name", &far, "netns", &pid.to_string()]);
        command.stderr(Stdio::inherit()).status().is_ok_and(|status| status.success())
    }

    fn device(&self, inside: bool) -> String {
        format!("tw{}{}", self.number, if inside { "far" } else { "near" })
    }

    /// An address of ours in the range for measuring networks (RFC 2544), four for each test.
    fn address(&self, last: u32) -> String {
        std::net::Ipv4Addr::from(0xc612_0000 + self.number * 4 + last).to_string()
    }

    /// This machine, as seen from inside.
    pub fn near(&self) -> String {
        self.address(1)
    }

    fn far(&self) -> String {
        self.address(2)
    }

    /// The same command inside: the same process id, the same files, another network.
    pub fn inside(&self, command: &Command) -> Command {
        let mut inside = Command::new("nsenter");
        inside.arg(format!("--net=/proc/{}/ns/net", self.holder.id()));
        inside.arg("--").arg(command.get_program()).args(command.get_args()).stdin(Stdio::null());
        inside.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        inside
    }

    fn ip(&self, inside: bool, arguments: &[&str]) {
        let mut command = Command::new("ip");
        command.args(arguments).env("PATH", std::env::var_os("PATH").unwrap_or_default());
        let mut command = if inside { self.inside(&command) } else { command };
        let output = command.output().expect("`ip` runs");
        assert!(output.status.success(), "ip {arguments:?}: {}", super::stderr(&output));
    }

    /// From here on every packet is lost.
    pub fn cut(&self) {
        for (inside, other) in [(false, self.far()), (true, self.near())] {
            let device = self.device(inside);
            let wrong =
                ["neighbour", "replace", &other, "lladdr", NOBODY, "dev", &device, "nud", "permanent"];
            self.ip(inside, &wrong);
        }
    }

    /// Packets arrive again.
    pub fn mend(&self) {
        for (inside, other) in [(false, self.far()), (true, self.near())] {
            self.ip(inside, &["neighbour", "del", &other, "dev", &self.device(inside)]);
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

//! Realistic samples for the benchmarks: a host with agents, each sampled every second, slowly changing.
//!
//! The same seed gives the same samples. Three of ten agents work, the others idle; now and then one changes.
//! Four of five live in tmux and have no network numbers, the rest in Docker have all eight. CPU is what a
//! difference of clock ticks over a measured second gives, so a busy agent's has all the digits of a double.

use event::{AgentSample, Event, Resources, State, Text, Time};

/// 2026-01-02T00:00:00Z
const BEGIN: Time = Time::from_micros(1_767_312_000_000_000);
const PAGE_BYTES: u64 = 4_096;
const HOST_MEMORY_BYTES: u64 = 64 << 30;
const CONTAINER_MEMORY_BYTES: u64 = 8 << 30;

/// SplitMix64: small, fast, and good enough for samples.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

/// One agent as it is now.
#[derive(Debug)]
struct Agent {
    name: Text,
    role: Text,
    tool: Text,
    in_docker: bool,
    working: bool,
    memory_pages: u64,
    net_rx_bytes: u64,
    net_tx_bytes: u64,
    disk_read_bytes: u64,
    disk_write_bytes: u64,
}

impl Agent {
    fn new(index: usize, random: &mut Random) -> Self {
        let tools = ["claude", "codex", "gemini"];
        Self {
            name: format!("agent-{index:03}").into(),
            role: if index.is_multiple_of(10) { "coordinator" } else { "worker" }.into(),
            tool: tools.get(index % tools.len()).copied().unwrap_or_default().into(),
            in_docker: index.is_multiple_of(5),
            working: index % 10 < 3,
            memory_pages: 60_000 + random.below(150_000),
            net_rx_bytes: random.below(1 << 30),
            net_tx_bytes: random.below(1 << 28),
            disk_read_bytes: random.below(1 << 32),
            disk_write_bytes: random.below(1 << 30),
        }
    }

    fn sample(&mut self, time: Time, elapsed_us: u64, random: &mut Random) -> Event {
        if random.one_in(300) {
            self.working = !self.working;
        }
        let ticks = self.live_one_second(random);
        Event::AgentSample(AgentSample {
            time,
            host: None,
            agent_name: self.name.clone(),
            role: self.role.clone(),
            tool: self.tool.clone(),
            runtime: if self.in_docker { "docker" } else { "tmux" }.into(),
            state: if self.working { State::Working } else { State::Idle },
            resources: self.resources(ticks, elapsed_us),
        })
    }

    /// Moves the counters and gives the clock ticks used, of which a second has 100 per core.
    fn live_one_second(&mut self, random: &mut Random) -> u64 {
        if !self.working {
            return u64::from(random.one_in(5));
        }
        self.memory_pages = (self.memory_pages + random.below(400)).saturating_sub(random.below(390));
        self.net_rx_bytes += random.below(40_000);
        self.net_tx_bytes += random.below(9_000);
        self.disk_read_bytes += PAGE_BYTES * random.below(4);
        self.disk_write_bytes += PAGE_BYTES * random.below(30);
        3 + random.below(60)
    }

    fn resources(&self, ticks: u64, elapsed_us: u64) -> Resources {
        let limit = if self.in_docker { CONTAINER_MEMORY_BYTES } else { HOST_MEMORY_BYTES };
        let used = self.memory_pages * PAGE_BYTES;
        let network = |bytes: u64| self.in_docker.then_some(bytes);
        Resources {
            cpu_percent: Some(ticks as f64 * 1e6 / elapsed_us as f64),
            mem_used_bytes: Some(used),
            mem_limit_bytes: Some(limit),
            mem_percent: Some(used as f64 * 100.0 / limit as f64),
            net_rx_bytes: network(self.net_rx_bytes),
            net_tx_bytes: network(self.net_tx_bytes),
            disk_read_bytes: Some(self.disk_read_bytes),
            disk_write_bytes: Some(self.disk_write_bytes),
        }
    }
}

/// All agents of a host; each item is one pass over them, a second after the one before.
#[derive(Debug)]
pub struct Passes {
    agents: Vec<Agent>,
    random: Random,
    time: Time,
}

impl Passes {
    /// So many agents.
    pub fn new(agents: usize, seed: u64) -> Self {
        let mut random = Random(seed);
        let agents = (0..agents).map(|index| Agent::new(index, &mut random)).collect();
        Self { agents, random, time: BEGIN }
    }
}

impl Iterator for Passes {
    type Item = Vec<Event>;

    fn next(&mut self) -> Option<Self::Item> {
        // NOTE: a timer is never early, and late by a fraction of a millisecond.
        let elapsed_us = 1_000_000 + self.random.below(200);
        self.time = self.time.plus_micros(elapsed_us.cast_signed());
        let (time, random) = (self.time, &mut self.random);
        Some(self.agents.iter_mut().map(|agent| agent.sample(time, elapsed_us, random)).collect())
    }
}

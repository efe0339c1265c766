//! A real Chromium, driven through chromedriver.
#![allow(unreachable_pub, reason = "the tests are one crate")]

use std::env;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use thirtyfour::prelude::*;
use thirtyfour::{BrowserLogEntry, ChromiumLikeCapabilities, LoggingPrefsLogLevel};

const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(50);
/// Its background is asked for nothing: tests have no network.
const ARGUMENTS: [&str; 9] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
];

/// A theme that somebody's system wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    Light,
    Dark,
}

/// A browser with one page.
pub struct Browser {
    pub page: WebDriver,
    driver: Child,
    /// NOTE: it would end for what it cannot say.
    _output: BufReader<ChildStdout>,
}

impl Browser {
    /// Starts it; `None`, after saying so, where there is none.
    pub async fn start() -> Option<Self> {
        let Some(program) = env::var_os("TAILWATER_TEST_CHROMEDRIVER") else {
            println!(
                "SKIPPED: the dashboard: TAILWATER_TEST_CHROMEDRIVER names no program (scripts/browser)"
            );
            return None;
        };
        let mut driver = Command::new(program)
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("chromedriver starts");
        let mut output = BufReader::new(driver.stdout.take().expect("a pipe"));
        let port = said_port(&mut output);
        let mut wanted = DesiredCapabilities::chrome();
        for argument in ARGUMENTS {
            wanted.add_arg(argument).expect("an argument");
        }
        wanted.set_browser_log_level(LoggingPrefsLogLevel::All).expect("a level");
        let page = WebDriver::new(format!("http://127.0.0.1:{port}"), wanted).await.expect("a browser");
        Some(Self { page, driver, _output: output })
    }

    /// Ends it in order.
    pub async fn quit(self) {
        self.page.clone().quit().await.expect("the browser ends");
    }

    /// A window of this size, of somebody who likes this theme.
    pub async fn look(&self, width: u32, height: u32, theme: Theme) {
        let scheme = if theme == Theme::Dark { "dark" } else { "light" };
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        let screen = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.page.cdp().send_raw("Emulation.setEmulatedMedia", media).await.expect("a theme");
        self.page.cdp().send_raw("Emulation.setDeviceMetricsOverride", screen).await.expect("a size");
    }

    /// Opens an address as a new page, and waits until it is drawn.
    pub async fn open(&self, address: &str) {
        self.page.goto("about:blank").await.expect("an empty page");
        self.page.goto(address).await.expect("the page");
        self.drawn().await;
    }

    /// Waits until the page is not busy, and each chart on it is drawn.
    pub async fn drawn(&self) {
        let script = "const main = document.querySelector('main');
            return main !== null && main.childElementCount > 0 && !main.hasAttribute('aria-busy')
                && [...document.querySelectorAll('.chart .plot')].every((plot) =>
                    plot.closest('details:not([open])') || plot.querySelector('.main-svg') || !plot.clientWidth);";
        self.until("the page is drawn", script).await;
    }

    /// What a script returns.
    pub async fn run(&self, script: &str) -> Value {
        self.page.execute(script, Vec::new()).await.expect("a script").json().clone()
    }

    /// Waits until a script returns true.
    pub async fn until(&self, what: &str, script: &str) {
        let begin = Instant::now();
        while self.run(script).await != json!(true) {
            if begin.elapsed() > PATIENCE {
                let text = self.run("return document.body.innerText").await;
                panic!("not within {PATIENCE:?}: {what}\n{script}\n{text}");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The text of the page.
    pub async fn text(&self) -> String {
        self.run("return document.body.innerText").await.as_str().unwrap_or_default().to_owned()
    }

    /// Presses what a selector finds first.
    pub async fn press(&self, selector: &str) {
        let found =
            self.page.find(By::Css(selector)).await.unwrap_or_else(|error| panic!("{selector}: {error}"));
        found.click().await.unwrap_or_else(|error| panic!("{selector}: {error}"));
    }

    /// Errors that the browser has told since it was asked before.
    pub async fn errors(&self) -> Vec<String> {
        let told: Vec<BrowserLogEntry> = self.page.browser_log().await.expect("a log");
        told.into_iter().filter(|it| it.level != "INFO" && it.level != "DEBUG").map(|it| it.message).collect()
    }

    /// What axe-core finds serious or critical.
    pub async fn barriers(&self) -> Vec<String> {
        let axe =
            env::var("TAILWATER_TEST_AXE").expect("TAILWATER_TEST_AXE names axe-core (scripts/browser)");
        let axe = std::fs::read_to_string(axe).expect("axe-core");
        // NOTE: the page's own policy lets nobody add a script; a driver may run one.
        self.page.execute(axe, Vec::new()).await.expect("axe-core runs");
        let script = "const done = arguments[arguments.length - 1];
            axe.run(document, { resultTypes: ['violations'] }).then((found) => done(found.violations
                .filter((it) => ['serious', 'critical'].includes(it.impact))
                .map((it) => `${it.id}: ${it.help}: ${it.nodes.slice(0, 3).map((node) => `${node.html} ${node.failureSummary}`).join('; ')}`)));";
        let found = self.page.execute_async(script, Vec::new()).await.expect("axe-core looks");
        let found = found.json().as_array().cloned().expect("a list");
        found.into_iter().map(|it| it.as_str().unwrap_or_default().to_owned()).collect()
    }

    async fn resize(&self, width: &Value, height: &Value) {
        let screen = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.page.cdp().send_raw("Emulation.setDeviceMetricsOverride", screen).await.expect("a size");
    }

    /// Keeps what is seen as a picture among the tests' output, the whole page of it.
    pub async fn keep(&self, name: &str) {
        let height = self.run("return Math.min(document.documentElement.scrollHeight, 6000)").await;
        let size = self.run("return [innerWidth, innerHeight]").await;
        let is_taller = height.as_u64() > size[1].as_u64();
        if is_taller {
            self.resize(&size[0], &height).await;
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        let picture = self.page.screenshot_as_png().await.expect("a picture");
        if is_taller {
            self.resize(&size[0], &size[1]).await;
        }
        let folder = pictures();
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join(format!("{name}.png")), picture).expect("a file");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // NOTE: a test that fails leaves no browser behind: it is in the group of its driver.
        let group = rustix::process::Pid::from_child(&self.driver);
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = self.driver.wait();
    }
}

/// The port that chromedriver has taken, when it listens; at first it says the one that was asked for, 0.
fn said_port(output: &mut impl BufRead) -> u16 {
    loop {
        let mut line = String::new();
        assert_ne!(output.read_line(&mut line).expect("a line"), 0, "chromedriver has ended");
        let port = line
            .trim_end()
            .trim_end_matches('.')
            .rsplit_once(" on port ")
            .map(|(_, port)| port.parse::<u16>());
        if let Some(Ok(port @ 1..)) = port {
            return port;
        }
    }
}

/// Where pictures are kept: `pictures` in cargo's target folder.
pub fn pictures() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target folder").join("pictures")
}

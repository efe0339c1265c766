//! `tailwater top`: the fleet in a terminal, as it is now. It needs nothing but the daemon's socket, so it works over ssh.

mod agent;
mod app;
mod ask;
mod draw;
mod fleet;
mod keys;
mod pipeline;
#[cfg(test)]
mod tests;

use std::io::{self, IsTerminal};
use std::thread;
use std::time::Duration;

use ratatui::crossterm::event::{self, Event};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::cli::TopArgs;
use crate::config::Config;
use crate::failure::Failure;
use crate::output::Screen;
use crate::signals;
use app::{App, Flow};
use ask::{Asker, News};

/// How often ages are drawn anew, and the terminal's keys are looked for.
const TICK: Duration = Duration::from_secs(1);
/// Keys that wait to be heeded.
const KEYS_MAX: usize = 256;

/// Shows the fleet until somebody has seen enough.
///
/// # Errors
/// When there is no terminal, or no daemon.
pub(crate) async fn top(config: &Config, args: &TopArgs) -> Result<(), Failure> {
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        let else_what = "`tailwater query agents latest` and `tailwater status` print the same for programs";
        return Err(Failure::error(format!("top needs a terminal: {else_what}")));
    }
    let mut asker = Asker::new(config, Duration::from_secs(args.interval));
    let mut app = App::new(Screen::of_stdout().is_coloured);
    // NOTE: what is wrong at the start is told as by other commands, not on a screen that goes.
    app.learn(News::Facts(Box::new(asker.first().await?)));
    let stop = CancellationToken::new();
    let _signals = signals::cancel_on_signal(stop.clone());
    let (wanted, wants) = watch::channel(app.wanted());
    let (tell, mut news) = mpsc::channel(1);
    let asking = tokio::spawn(asker.run(wants, tell));
    let mut keys = listen();
    let mut terminal = ratatui::try_init().map_err(|error| failed(&error))?;
    let outcome = loop {
        if let Err(error) = terminal.draw(|frame| draw::draw(frame, &mut app)) {
            break Err(failed(&error));
        }
        tokio::select! {
            () = stop.cancelled() => break Ok(()),
            () = tokio::time::sleep(TICK) => {}
            told = news.recv() => match told {
                Some(told) => app.learn(told),
                None => break Err(Failure::error("cannot ask the daemon any more")),
            },
            key = keys.recv() => match key {
                Some(Event::Key(key)) if app.press(key) == Flow::Quit => break Ok(()),
                Some(_) => {}
                None => break Err(Failure::error("the terminal has gone")),
            },
        }
        wanted.send_if_modified(|before| {
            let now = app.wanted();
            let is_new = *before != now;
            *before = now;
            is_new
        });
    };
    asking.abort();
    let restored = ratatui::try_restore().map_err(|error| failed(&error));
    outcome.and(restored)
}

fn failed(error: &io::Error) -> Failure {
    Failure::error(format!("cannot use the terminal: {error}"))
}

/// What comes from the terminal. The thread ends with the process, or when the terminal does.
fn listen() -> mpsc::Receiver<Event> {
    let (tell, keys) = mpsc::channel(KEYS_MAX);
    thread::spawn(move || {
        while let Ok(event) = event::read() {
            if tell.blocking_send(event).is_err() {
                return;
            }
        }
    });
    keys
}

//! Who is answered by which run.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;

use super::*;

/// Work whose answers are numbered, and of which each waits until it is let through.
struct Works {
    collapse: Collapse,
    begun: Arc<AtomicUsize>,
    gate: Arc<Semaphore>,
}

impl Works {
    fn new() -> Self {
        Self { collapse: Collapse::default(), begun: Arc::default(), gate: Arc::new(Semaphore::new(0)) }
    }

    fn ask(&self, path: &str) -> impl Future<Output = String> + Send + use<> {
        let key = Key { method: "GET".to_owned(), path_and_query: path.to_owned(), accepts: Vec::new() };
        let (begun, gate) = (Arc::clone(&self.begun), Arc::clone(&self.gate));
        let work = async move {
            let number = begun.fetch_add(1, Ordering::SeqCst) + 1;
            gate.acquire().await.expect("it stays open").forget();
            Kept { status: StatusCode::OK, headers: HeaderMap::new(), body: number.to_string().into() }
        };
        let run = self.collapse.ask(key, work);
        async move { String::from_utf8(run.await.body.to_vec()).expect("a number") }
    }

    fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }

    fn lines(&self) -> usize {
        self.collapse.lines().len()
    }
}

/// Lets everything run that can.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn who_asks_meanwhile_is_answered_by_the_next_run_together() {
    let works = Works::new();
    let first = tokio::spawn(works.ask("/a"));
    settle().await;
    let later: Vec<_> = (0..50).map(|_| tokio::spawn(works.ask("/a"))).collect();
    settle().await;
    assert_eq!(works.begun(), 1, "one at a time");
    works.gate.add_permits(2);
    assert_eq!(first.await.unwrap(), "1");
    for run in later {
        assert_eq!(run.await.unwrap(), "2");
    }
    assert_eq!((works.begun(), works.lines()), (2, 0));
}

#[tokio::test]
async fn another_answer_waits_for_nobody() {
    let works = Works::new();
    let runs: Vec<_> = ["/a", "/b", "/c"].map(|path| tokio::spawn(works.ask(path))).into_iter().collect();
    settle().await;
    assert_eq!((works.begun(), works.lines()), (3, 3));
    works.gate.add_permits(3);
    for run in runs {
        run.await.unwrap();
    }
    assert_eq!(works.lines(), 0);
}

#[tokio::test]
async fn a_run_goes_on_for_those_who_still_wait_and_ends_with_the_last() {
    let works = Works::new();
    let [first, second] = [(); 2].map(|()| tokio::spawn(works.ask("/a")));
    settle().await;
    let [third, fourth] = [(); 2].map(|()| tokio::spawn(works.ask("/a")));
    settle().await;
    first.abort();
    fourth.abort();
    settle().await;
    works.gate.add_permits(2);
    assert_eq!(second.await.unwrap(), "1");
    assert_eq!(third.await.unwrap(), "2");

    let [running, waiting] = {
        let running = tokio::spawn(works.ask("/a"));
        settle().await;
        [running, tokio::spawn(works.ask("/a"))]
    };
    settle().await;
    waiting.abort();
    settle().await;
    assert_eq!((works.begun(), works.lines()), (3, 1), "the one under way stays");
    running.abort();
    settle().await;
    assert_eq!(works.lines(), 0);
    works.gate.add_permits(1);
    assert_eq!(works.ask("/a").await, "4", "the place of who left is free");
}

//! The one thread that changes routes: decides, makes durable, publishes, answers, in this order.
//!
//! Writes that arrive together share one sync of the file. Whoever gets an answer knows that the
//! table with it is published.

use crate::{
    journal::JournalFile,
    state::{Known, State, Write, file::StateDir, refusal},
    table::Table,
    worker::Crew,
};
use anyhow::Context;
use arc_swap::ArcSwap;
use domain::{
    id::PlacementId,
    route::{BreakGlass, JournalEntry, Refusal, RefusalCode, Routed},
    slot::Slot,
};
use std::sync::Arc;
use time::OffsetDateTime;
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info, warn};

/// Writes that may wait. Who comes after that waits at the door.
const QUEUE: usize = 256;

/// Writes that share a sync.
const BATCH: usize = 64;

/// Where to put writes, and where to read what was written.
#[derive(Clone, Debug)]
pub struct Writer {
    orders: mpsc::Sender<Order>,
    applied: Arc<ArcSwap<State>>,
}

type Answered = Result<Routed, Refusal>;

#[derive(Debug)]
enum Order {
    Write {
        placement: PlacementId,
        write: Write,
        answer: oneshot::Sender<Answered>,
    },
    BreakGlass {
        ask: BreakGlass,
        uid: u32,
        answer: oneshot::Sender<Answered>,
    },
    /// No more writes: a newer router takes the directory. It is free when this is answered.
    HandOver {
        answer: oneshot::Sender<()>,
    },
}

/// What a writer starts with.
#[derive(Debug)]
pub struct Beginning {
    pub dir: StateDir,
    pub state: State,
    pub known: Known,
    pub crew: Arc<Crew>,
    pub workers: usize,
}

/// What the writer's thread owns.
struct Routing {
    dir: StateDir,
    state: Arc<State>,
    known: Known,
    crew: Arc<Crew>,
    workers: usize,
    applied: Arc<ArcSwap<State>>,
}

impl Writer {
    /// Publishes what was loaded and starts the thread.
    pub fn start(from: Beginning) -> anyhow::Result<Self> {
        let Beginning { dir, state, known, crew, workers } = from;
        // Shows at once whether we may write, and that from now on there is a file to be missed.
        dir.save(&state)?;
        let state = Arc::new(state);
        let applied = Arc::new(ArcSwap::new(state.clone()));
        let (orders, queue) = mpsc::channel(QUEUE);
        let mut routing = Routing { dir, state, known, crew, workers, applied: applied.clone() };
        let loaded = State::clone(&routing.state);
        routing.publish(loaded);
        std::thread::Builder::new()
            .name("routes".into())
            .spawn(move || routing.run(queue))
            .context("starting the thread that writes routes")?;
        Ok(Self { orders, applied })
    }

    /// What requests are routed by.
    pub fn applied(&self) -> Arc<State> {
        self.applied.load_full()
    }

    /// What a control plane asks.
    pub async fn write(&self, placement: PlacementId, write: Write) -> Answered {
        let (answer, answered) = oneshot::channel();
        self.ask(Order::Write { placement, write, answer }, answered).await?
    }

    /// What a person on this host asks.
    pub async fn break_glass(&self, ask: BreakGlass, uid: u32) -> Answered {
        let (answer, answered) = oneshot::channel();
        self.ask(Order::BreakGlass { ask, uid, answer }, answered).await?
    }

    /// Stops writing and gives the state directory free.
    pub async fn hand_over(&self) -> Result<(), Refusal> {
        let (answer, answered) = oneshot::channel();
        self.ask(Order::HandOver { answer }, answered).await
    }

    async fn ask<T>(&self, order: Order, answered: oneshot::Receiver<T>) -> Result<T, Refusal> {
        let draining = || refusal(RefusalCode::Draining, "This router is going away.");
        self.orders.send(order).await.map_err(|_| draining())?;
        answered.await.map_err(|_| draining())
    }
}

impl Routing {
    fn run(mut self, mut queue: mpsc::Receiver<Order>) {
        let mut batch = Vec::with_capacity(BATCH);
        while queue.blocking_recv_many(&mut batch, BATCH) > 0 {
            if let Some(free) = self.work(&mut batch) {
                drop(self);
                // Nobody waits for the answer any more: then the directory is free all the same.
                let _ = free.send(());
                return;
            }
        }
    }

    /// Does a batch of orders. Returns whom to tell that the directory is free.
    fn work(&mut self, batch: &mut Vec<Order>) -> Option<oneshot::Sender<()>> {
        let mut state = State::clone(&self.state);
        let mut answers = Vec::with_capacity(batch.len());
        let mut free = None;
        for order in batch.drain(..) {
            let now = OffsetDateTime::now_utc();
            match order {
                Order::Write { placement, write, answer } => {
                    let done = state.apply(placement, &write, &self.known, now);
                    answers.push((answer, done.map(|_| placement)));
                }
                Order::BreakGlass { ask, uid, answer } => {
                    let done = break_glass(&mut state, self.dir.path(), &ask, uid, now);
                    answers.push((answer, done.map(|routed| routed.placement)));
                }
                Order::HandOver { answer } => {
                    free = Some(answer);
                    break;
                }
            }
        }

        if state != *self.state {
            if let Err(e) = self.dir.save(&state) {
                error!(error = format!("{e:#}"), "The state file could not be written");
                let message = format!("The state file could not be written: {e:#}");
                for (answer, _) in answers {
                    let _ = answer.send(Err(refusal(RefusalCode::NotDurable, message.clone())));
                }
                return free;
            }
            self.publish(state);
        }
        for (answer, done) in answers {
            // Who does not wait any more reads the route.
            let _ = answer.send(done.map(|placement| self.state.of(placement)));
        }
        free
    }

    /// Makes `state` what requests are routed by, and stamps what changed with the instant from
    /// which on that is so.
    fn publish(&mut self, mut state: State) {
        let listeners: Vec<_> = self.known.listeners.iter().map(|l| l.0.clone()).collect();
        let before = self.crew.proxy.table.load_full();
        let table = Arc::new(Table::build(&state, &before, &listeners, self.workers));
        for placed in table.all() {
            placed.witness.switching(placed.live);
        }
        self.crew.proxy.table.store(table.clone());
        let applied_at = OffsetDateTime::now_utc();
        for placed in table.all() {
            placed.witness.switched();
        }

        for (id, routed) in &mut state.routes {
            let before = self.state.routes.get(id);
            if before.is_some_and(|before| before.revision == routed.revision) {
                continue;
            }
            if before.is_none_or(|before| before.switched_at != routed.switched_at) {
                routed.switched_at = Some(applied_at);
            }
            routed.applied_at = Some(applied_at);
            info!(
                placement = %id,
                revision = routed.revision,
                epoch = routed.epoch,
                "Placement {id} is routed to {}",
                routed.live().map_or("no slot", Slot::as_str)
            );
        }
        self.state = Arc::new(state);
        self.applied.store(self.state.clone());
    }
}

/// Journals a switch by hand and applies it to `state`. The journal comes first: an act that nobody
/// wrote down must not be.
pub fn break_glass(
    state: &mut State,
    state_dir: &std::path::Path,
    ask: &BreakGlass,
    uid: u32,
    now: OffsetDateTime,
) -> Answered {
    let reason = ask.reason.trim();
    if reason.is_empty() || reason.chars().count() > 500 {
        let message = "A reason of 1 to 500 characters is needed: it goes into the history.";
        return Err(refusal(RefusalCode::Malformed, message));
    }
    let journal = JournalFile::of(state_dir);
    let not_durable = |e: anyhow::Error| {
        refusal(RefusalCode::NotDurable, format!("The journal could not be written: {e:#}"))
    };
    let number = journal.next_number().map_err(not_durable)?;
    let mut after_it = state.clone();
    let (before, after) = after_it.break_glass(&ask.of, ask.live, number, now)?;
    let entry = JournalEntry {
        number,
        at: now,
        uid,
        placement: after.placement,
        from: before.live(),
        to: ask.live,
        epoch: after.epoch,
        revision: after.revision,
        reason: reason.to_owned(),
    };
    journal.append(&entry).map_err(not_durable)?;
    warn!(
        placement = %after.placement,
        uid,
        number,
        "Placement {} was switched by hand: {reason:?}",
        after.placement
    );
    *state = after_it;
    Ok(after)
}

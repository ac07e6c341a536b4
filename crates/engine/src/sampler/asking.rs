//! Questions of the sampler to targets: each target is asked by a task of its own, and by one at a
//! time, so that one that is slow is late for itself and for nobody else.

use super::{AT_ONCE, HEALTH};
use crate::{
    chain,
    context::{Context, Known},
    keeper::Keeper,
};
use domain::{
    id::{PlacementId, TargetId},
    slot::Slot,
    target::{InstanceState, Traffic, Usage},
};
use futures::{StreamExt, stream};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};
use targets::Target;
use time::OffsetDateTime;
use tokio::{
    task::{AbortHandle, JoinSet},
    time::{Instant, timeout, timeout_at},
};

/// How long a round waits for a target while others have answered. What comes later is told with the
/// next round.
const PATIENCE: Duration = Duration::from_millis(900);
/// The longest a target is asked. Its own deadlines are shorter.
const WITHIN: Duration = Duration::from_secs(4);

/// What a target said of the placements on it.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub usage: HashMap<PlacementId, Vec<Usage>>,
    pub traffic: HashMap<PlacementId, Traffic>,
}

/// What is being asked.
#[derive(Debug, Default)]
pub(super) struct Asking {
    samples: JoinSet<(TargetId, Said)>,
    healths: JoinSet<()>,
    /// Who is at an answer, by question.
    sampling: HashMap<TargetId, AbortHandle>,
    healing: HashMap<TargetId, AbortHandle>,
}

impl Asking {
    /// Asks every target that is not at an earlier answer still, and says what came by now.
    pub async fn samples(
        &mut self,
        context: &Context,
        known: &[Known],
        keeper: &Keeper,
    ) -> HashMap<TargetId, Said> {
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let groups = by_target(known);
        // Where there is one, nobody is held up by waiting for it.
        let patience = if groups.len() > 1 { PATIENCE } else { WITHIN };
        for (id, known) in groups {
            if is_at_it(&self.sampling, id) {
                continue;
            }
            let since = known.iter().map(|one| keeper.since(one.placement.id, now)).collect();
            let asked = ask(context.targets.of(id), known, since);
            let task = self.samples.spawn(async move {
                // What did not come in time is asked for again.
                (id, timeout(WITHIN, asked).await.unwrap_or_default())
            });
            self.sampling.insert(id, task);
        }
        let until = Instant::now() + patience;
        let mut said = HashMap::new();
        while let Ok(Some(joined)) = timeout_at(until, self.samples.join_next()).await {
            said.extend(joined.ok());
        }
        self.sampling.retain(|_, task| !task.is_finished());
        said
    }

    /// Asks the instances of which nobody heard for a while, and waits for nobody.
    pub fn healths(&mut self, context: &Arc<Context>, known: &[Known]) {
        while self.healths.try_join_next().is_some() {}
        self.healing.retain(|_, task| !task.is_finished());
        for (id, known) in by_target(known) {
            if is_at_it(&self.healing, id) {
                continue;
            }
            let (context, target) = (context.clone(), context.targets.of(id));
            let task = self.healths.spawn(async move {
                let (context, target) = (context.as_ref(), target.as_ref());
                stream::iter(known)
                    .for_each_concurrent(AT_ONCE, |known| async move {
                        ask_health(context, target, &known).await;
                    })
                    .await;
            });
            self.healing.insert(id, task);
        }
    }
}

fn is_at_it(tasks: &HashMap<TargetId, AbortHandle>, id: TargetId) -> bool {
    tasks.get(&id).is_some_and(|task| !task.is_finished())
}

fn by_target(known: &[Known]) -> BTreeMap<TargetId, Vec<Known>> {
    let mut groups: BTreeMap<TargetId, Vec<Known>> = BTreeMap::new();
    for known in known {
        groups.entry(known.placement.target).or_default().push(known.clone());
    }
    groups
}

/// What instances use, and what the witness counted of each placement from its second on.
async fn ask(target: Arc<dyn Target>, known: Vec<Known>, since: Vec<i64>) -> Said {
    let places: Vec<_> = known.iter().map(|known| known.place().clone()).collect();
    let asked: Vec<_> = places.iter().cloned().zip(since).collect();
    let witness = target.clone();
    let traffics = stream::iter(asked)
        .map(move |(place, since)| {
            let witness = witness.clone();
            async move { Some((place.placement, witness.traffic(&place, since).await.ok()?)) }
        })
        .buffered(AT_ONCE)
        .filter_map(std::future::ready)
        .collect();
    let (usage, traffic) = tokio::join!(target.usage(&places), traffics);
    let usage = usage.unwrap_or_else(|error| {
        tracing::debug!(error = chain(&error), "Usage could not be read");
        Vec::new()
    });
    Said { usage: usage.into_iter().collect(), traffic }
}

async fn ask_health(context: &Context, target: &dyn Target, known: &Known) {
    let Ok(observed) = &known.observed else { return };
    for slot in Slot::ALL {
        let mut due: Vec<_> = observed
            .slots
            .of(slot)
            .iter()
            .filter(|instance| instance.state == InstanceState::Running)
            .filter(|instance| context.healths.age(&instance.id).is_none_or(|age| age >= HEALTH))
            .map(|instance| (instance.maker, instance.release))
            .collect();
        due.sort_unstable();
        due.dedup();
        for (maker, release) in due {
            let Some(probe) = known.probes.get(&release) else { continue };
            if let Ok(answers) = target.probe(known.place(), slot, maker, probe).await {
                context.healths.note(&answers);
            }
        }
    }
}

//! An object store that misbehaves by script: which call to which path does what, the same in every run.
//!
//! [`FaultyStore`] wraps any store; the test keeps its [`Faults`] and adds [`Rule`]s at any time. A call meets the first rule that
//! matches it and is due; a call that meets none goes through. Every call is recorded, so a test can also say what was *not*
//! called. Counting is per rule and in the order the calls are made; where calls run side by side, aim a rule at one path.
//!
//! ```
//! # use std::sync::Arc;
//! # use linkfunnel_testkit::faults::{Answer, Effect, FaultyStore, Operation, Rule};
//! # use object_store::memory::InMemory;
//! let (store, faults) = FaultyStore::new(Arc::new(InMemory::new()));
//! // The second commit is written, but its writer is told that somebody else wrote it.
//! faults.add(Rule::on(Operation::Put, "_delta_log/").after(1).then(Effect::ApplyThen(Answer::AlreadyExists)));
//! # drop(store);
//! ```

mod store;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use object_store::path::Path;
use object_store::{Error, Result};
use parking_lot::Mutex;
use tokio::sync::watch;

pub use self::store::FaultyStore;

/// Linux's "no space left on device".
const ENOSPC: i32 = 28;

/// What is asked of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A whole object is written.
    Put,
    /// A multipart upload is begun.
    UploadStart,
    /// A part of it is written.
    UploadPart,
    /// It is completed: the object appears.
    UploadComplete,
    /// An object, or ranges of it, is read.
    Get,
    /// Only an object's size and time are asked for.
    Head,
    /// A folder is listed.
    List,
    /// An object is deleted.
    Delete,
    /// An object is copied; the path is the new one.
    Copy,
    /// An object is renamed; the path is the new one.
    Rename,
}

/// The error that a caller is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The connection broke or timed out: the caller cannot know whether anything happened.
    TimedOut,
    /// An object of this name is there, or so it is said.
    AlreadyExists,
    /// The condition of a conditional write does not hold, or so it is said.
    Precondition,
    /// No object of this name, or so it is said.
    NotFound,
    /// Not allowed.
    PermissionDenied,
    /// No space left on the device.
    DiskFull,
}

impl Answer {
    fn error(self, path: &Path) -> Error {
        let because = |kind| -> Box<dyn std::error::Error + Send + Sync> {
            Box::new(io::Error::new(kind, "a fault that the test asked for"))
        };
        let path = path.to_string();
        let store = "faulty";
        match self {
            Answer::TimedOut => Error::Generic {
                store,
                source: because(io::ErrorKind::TimedOut),
            },
            Answer::AlreadyExists => Error::AlreadyExists {
                path,
                source: because(io::ErrorKind::AlreadyExists),
            },
            Answer::Precondition => Error::Precondition {
                path,
                source: because(io::ErrorKind::Other),
            },
            Answer::NotFound => Error::NotFound {
                path,
                source: because(io::ErrorKind::NotFound),
            },
            Answer::PermissionDenied => Error::PermissionDenied {
                path,
                source: because(io::ErrorKind::PermissionDenied),
            },
            Answer::DiskFull => Error::Generic {
                store,
                source: Box::new(io::Error::from_raw_os_error(ENOSPC)),
            },
        }
    }
}

/// What happens to a call.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Nothing is done and the caller is told so, truly or falsely.
    Refuse(Answer),
    /// It is done, and the caller is told an error all the same.
    ApplyThen(Answer),
    /// It is done after a while.
    Delay(Duration),
    /// It is done when the test opens the gate.
    Hold(Gate),
}

/// A place where calls wait for the test.
#[derive(Debug, Clone)]
pub struct Gate(Arc<watch::Sender<GateState>>);

#[derive(Debug, Default)]
struct GateState {
    arrived: usize,
    open: bool,
}

impl Gate {
    /// A closed gate.
    #[must_use]
    pub fn new() -> Gate {
        Gate(Arc::new(watch::Sender::new(GateState::default())))
    }

    /// Waits until a call has come to the gate.
    pub async fn arrived(&self) {
        let _ = self.0.subscribe().wait_for(|state| state.arrived > 0).await;
    }

    /// Lets all calls through, now and later.
    pub fn open(&self) {
        self.0.send_modify(|state| state.open = true);
    }

    async fn pass(&self) {
        self.0.send_modify(|state| state.arrived += 1);
        let _ = self.0.subscribe().wait_for(|state| state.open).await;
    }
}

impl Default for Gate {
    fn default() -> Gate {
        Gate::new()
    }
}

/// Which calls something happens to. Made by [`Rule::on`] or [`Rule::on_any`]; happens once unless told otherwise.
#[derive(Debug, Clone)]
pub struct Rule {
    operation: Option<Operation>,
    path_contains: String,
    after: usize,
    times: usize,
    effect: Effect,
}

impl Rule {
    /// Calls of one kind to paths that contain a text; the empty text is in every path.
    pub fn on(operation: Operation, path_contains: impl Into<String>) -> Rule {
        Rule {
            operation: Some(operation),
            ..Rule::on_any(path_contains)
        }
    }

    /// Calls of every kind to paths that contain a text.
    pub fn on_any(path_contains: impl Into<String>) -> Rule {
        Rule {
            operation: None,
            path_contains: path_contains.into(),
            after: 0,
            times: 1,
            effect: Effect::Refuse(Answer::TimedOut),
        }
    }

    /// The first `calls` matching calls are let through.
    #[must_use]
    pub fn after(self, calls: usize) -> Rule {
        Rule {
            after: calls,
            ..self
        }
    }

    /// It happens to this many calls.
    #[must_use]
    pub fn times(self, times: usize) -> Rule {
        Rule { times, ..self }
    }

    /// It happens until the rules are cleared.
    #[must_use]
    pub fn always(self) -> Rule {
        self.times(usize::MAX)
    }

    /// What happens; without this the call is refused as timed out.
    #[must_use]
    pub fn then(self, effect: Effect) -> Rule {
        Rule { effect, ..self }
    }

    fn matches(&self, call: &Call) -> bool {
        self.operation
            .is_none_or(|operation| operation == call.operation)
            && call.path.as_ref().contains(&self.path_contains)
    }
}

/// A call that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// What was asked.
    pub operation: Operation,
    /// Of which object or folder.
    pub path: Path,
}

/// The script and the record of a [`FaultyStore`], in the test's hand. Clones share both.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<Script>>);

#[derive(Debug, Default)]
struct Script {
    /// Each with the number of calls that it has matched.
    rules: Vec<(Rule, usize)>,
    calls: Vec<Call>,
    happened: usize,
}

impl Faults {
    /// Adds a rule behind those there are.
    pub fn add(&self, rule: Rule) {
        self.0.lock().rules.push((rule, 0));
    }

    /// Forgets all rules: the store is well again. The record stays.
    pub fn clear(&self) {
        self.0.lock().rules.clear();
    }

    /// All calls so far.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.0.lock().calls.clone()
    }

    /// How many calls of a kind went to paths that contain a text.
    #[must_use]
    pub fn count(&self, operation: Operation, path_contains: &str) -> usize {
        let script = self.0.lock();
        let rule = Rule::on(operation, path_contains);
        script
            .calls
            .iter()
            .filter(|call| rule.matches(call))
            .count()
    }

    /// To how many calls something happened: a test that meant to break a thing says that it did.
    #[must_use]
    pub fn happened(&self) -> usize {
        self.0.lock().happened
    }

    /// Records a call and says what happens to it.
    fn effect(&self, operation: Operation, path: &Path) -> Option<Effect> {
        let mut script = self.0.lock();
        let call = Call {
            operation,
            path: path.clone(),
        };
        let effect = script.rules.iter_mut().find_map(|(rule, matched)| {
            if !rule.matches(&call) {
                return None;
            }
            *matched += 1;
            let due = *matched > rule.after && *matched - rule.after <= rule.times;
            due.then(|| rule.effect.clone())
        });
        script.calls.push(call);
        script.happened += usize::from(effect.is_some());
        effect
    }

    /// Does `action` as the script says.
    async fn around<T>(
        &self,
        operation: Operation,
        path: &Path,
        action: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        match self.effect(operation, path) {
            None => action.await,
            Some(Effect::Refuse(answer)) => Err(answer.error(path)),
            Some(Effect::ApplyThen(answer)) => {
                action.await?;
                Err(answer.error(path))
            }
            Some(Effect::Delay(duration)) => {
                tokio::time::sleep(duration).await;
                action.await
            }
            Some(Effect::Hold(gate)) => {
                gate.pass().await;
                action.await
            }
        }
    }
}

//! The executor that runs jobs with genesisflow-engine.
//!
//! One thread computes, one job after the other: the engine uses all cores for
//! each. Tokenizing, which is cheap, is done beside it.

use super::{
    Assignment, Cancel, ExecutionError, Executor, ReplayOutcome, ReplayTask, Replayed, TrueResult,
};
use crate::{
    error::{Error, Kind, Result},
    journal::Delivery,
    model_store::shown,
};
use async_trait::async_trait;
use genesisflow_engine::{
    Finish, GenerateError, GenerateRequest, Generation, Model, Prompt, PromptError, Replay,
    Sampling, ENGINE_VERSION,
};
use genesisflow_primitives::{
    audit::AuditDigest, evidence, Fault, FaultCode, InputFormat, ModelId, ModelManifest,
    ResultClaim, Usage, H256,
};
use std::{
    collections::HashMap,
    ops::ControlFlow,
    path::PathBuf,
    sync::{mpsc, Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// Weight of the newest run in the measured speed.
const NEWEST: f64 = 0.3;
/// Output tokens of the run that measures a model's speed when it is loaded.
const WARM_UP_TOKENS: u32 = 8;

/// A model to load.
#[derive(Clone, Debug)]
pub struct ModelToLoad {
    /// Its id.
    pub id: ModelId,
    /// The folder that holds its files.
    pub dir: PathBuf,
    /// Its manifest.
    pub manifest: ModelManifest,
}

/// Runs jobs on a thread of its own.
pub struct EngineExecutor {
    models: HashMap<ModelId, Arc<Loaded>>,
    queue: mpsc::Sender<Work>,
    backlog: Arc<Mutex<Duration>>,
}

struct Loaded {
    model: Model,
    stop_tokens: Vec<u32>,
    context: u32,
    /// Measured time per token, prompt and output alike.
    per_token: Mutex<Duration>,
}

struct Work {
    loaded: Arc<Loaded>,
    request: GenerateRequest,
    cancel: Cancel,
    expected: Duration,
    what: What,
}

enum What {
    Generate(Reply<Generation>),
    Audit {
        tokens: Vec<u32>,
        seed: [u8; 32],
        reply: Reply<genesisflow_engine::Audit>,
    },
}

type Reply<T> = oneshot::Sender<std::result::Result<T, GenerateError>>;

impl EngineExecutor {
    /// Loads `models` and starts the engine's thread.
    ///
    /// Blocks for as long as loading takes.
    ///
    /// # Errors
    /// [`Kind::Model`] for a model that cannot be loaded or run.
    pub fn load(models: Vec<ModelToLoad>) -> Result<Self> {
        let mut loaded = HashMap::new();
        for model in models {
            let (id, model) = load(model)?;
            loaded.insert(id, Arc::new(model));
        }
        let (queue, work) = mpsc::channel();
        let backlog = Arc::new(Mutex::new(Duration::ZERO));
        let done = backlog.clone();
        std::thread::Builder::new()
            .name("engine".into())
            .spawn(move || serve(&work, &done))
            .map_err(|error| {
                Error::new(Kind::Internal, "cannot start the engine's thread").because(error)
            })?;
        Ok(Self {
            models: loaded,
            queue,
            backlog,
        })
    }

    fn loaded(&self, model: ModelId) -> std::result::Result<Arc<Loaded>, ExecutionError> {
        self.models
            .get(&model)
            .cloned()
            .ok_or_else(|| ExecutionError::Refused(format!("model {} is not loaded", shown(model))))
    }

    fn enqueue(&self, work: Work) -> std::result::Result<(), ExecutionError> {
        {
            let mut backlog = lock(&self.backlog);
            *backlog = backlog.saturating_add(work.expected);
        }
        self.queue.send(work).map_err(|_| gone())
    }
}

#[async_trait]
impl Executor for EngineExecutor {
    fn serves(&self, model: ModelId) -> bool {
        self.models.contains_key(&model)
    }

    async fn estimate(
        &self,
        assignment: &Assignment,
    ) -> std::result::Result<Duration, ExecutionError> {
        let loaded = self.loaded(assignment.model)?;
        let prompt = prompt(assignment)?;
        let counting = loaded.clone();
        let tokens = tokio::task::spawn_blocking(move || counting.prompt_tokens(&prompt))
            .await
            .map_err(|error| ExecutionError::Refused(error.to_string()))??;
        if tokens > assignment.max_input_units {
            return Err(ExecutionError::Refused(format!(
                "its prompt has {tokens} tokens, it pays for {} at most",
                assignment.max_input_units
            )));
        }
        let total = tokens.saturating_add(assignment.max_output_units);
        Ok(loaded.time_for(total).saturating_add(*lock(&self.backlog)))
    }

    async fn execute(
        &self,
        assignment: Assignment,
        cancel: Cancel,
    ) -> std::result::Result<Delivery, ExecutionError> {
        let loaded = self.loaded(assignment.model)?;
        let request = request(&loaded, &assignment)?;
        let expected = loaded.time_for(
            assignment
                .max_input_units
                .saturating_add(assignment.max_output_units),
        );
        let (reply, answer) = oneshot::channel();
        self.enqueue(Work {
            loaded,
            request,
            cancel,
            expected,
            what: What::Generate(reply),
        })?;
        match answer.await.map_err(|_| gone())? {
            Ok(generation) => delivery(&generation, &assignment),
            Err(GenerateError::Cancelled) => Err(ExecutionError::Cancelled),
            Err(error) => Err(ExecutionError::Refused(error.to_string())),
        }
    }

    async fn replay(
        &self,
        task: ReplayTask,
        cancel: Cancel,
    ) -> std::result::Result<Replayed, ExecutionError> {
        let loaded = self.loaded(task.assignment.model)?;
        let Ok(request) = request(&loaded, &task.assignment) else {
            return Ok(impossible(&task.seed, "its input is no UTF-8".into()));
        };
        // One prefill of everything.
        let expected = loaded.time_for(
            task.assignment
                .max_input_units
                .saturating_add(u32::try_from(task.tokens.len()).unwrap_or(u32::MAX)),
        );
        let (reply, answer) = oneshot::channel();
        self.enqueue(Work {
            loaded,
            request,
            cancel,
            expected,
            what: What::Audit {
                tokens: task.tokens,
                seed: task.seed.0,
                reply,
            },
        })?;
        match answer.await.map_err(|_| gone())? {
            Ok(audit) => Ok(replayed(audit)),
            Err(GenerateError::Cancelled) => Err(ExecutionError::Cancelled),
            // Of this machine alone.
            Err(error @ (GenerateError::Memory { .. } | GenerateError::Arithmetic(_))) => {
                Err(ExecutionError::Refused(error.to_string()))
            }
            Err(error) => Ok(impossible(&task.seed, error.to_string())),
        }
    }
}

/// The answer about a job for which no result can be right.
fn impossible(seed: &H256, reason: String) -> Replayed {
    Replayed {
        outcome: ReplayOutcome::Impossible { reason },
        digest: AuditDigest::new(seed).finish(),
    }
}

fn replayed(audit: genesisflow_engine::Audit) -> Replayed {
    let digest = H256(audit.digests.first().copied().unwrap_or_default());
    let outcome = match audit.replay {
        Replay::Matches(generation) => ReplayOutcome::Matches(TrueResult {
            input_units: generation.prompt_tokens,
            fault: fault(generation.finish),
            trace: H256(generation.trace),
            output: generation.text.into_bytes(),
        }),
        Replay::Differs { index } => ReplayOutcome::Differs { index },
    };
    Replayed { outcome, digest }
}

fn gone() -> ExecutionError {
    ExecutionError::Refused("the engine's thread has ended".into())
}

fn request(
    loaded: &Loaded,
    assignment: &Assignment,
) -> std::result::Result<GenerateRequest, ExecutionError> {
    Ok(GenerateRequest {
        model_id: assignment.model.0,
        prompt: prompt(assignment)?,
        sampling: Sampling {
            temperature_milli: assignment.options.temperature_milli,
            top_k: assignment.options.top_k,
            top_p_milli: assignment.options.top_p_milli,
        },
        seed: assignment.seed.0,
        max_output: assignment.max_output_units,
        stop_tokens: loaded.stop_tokens.clone(),
        context: loaded.context,
        output_bytes: assignment.max_output_bytes as usize,
        evidence_bytes: assignment.max_evidence_bytes as usize,
    })
}

impl Loaded {
    /// Tokens of a prompt; none for one whose template fails, which is a
    /// result too (a fault).
    fn prompt_tokens(&self, prompt: &Prompt) -> std::result::Result<u32, ExecutionError> {
        match self.model.prompt_tokens(prompt) {
            Ok(tokens) => Ok(tokens.len().try_into().unwrap_or(u32::MAX)),
            Err(PromptError::Template(_)) => Ok(0),
            Err(error) => Err(ExecutionError::Refused(error.to_string())),
        }
    }

    fn time_for(&self, tokens: u32) -> Duration {
        lock(&self.per_token).saturating_mul(tokens)
    }

    fn run(
        &self,
        request: &GenerateRequest,
        cancel: &Cancel,
    ) -> std::result::Result<Generation, GenerateError> {
        let start = Instant::now();
        let generation = self.model.generate(request, &mut |_| {
            if cancel.is_cancelled() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })?;
        let output = u32::try_from(generation.tokens.len()).unwrap_or(u32::MAX);
        self.learn(
            start.elapsed(),
            generation.prompt_tokens.saturating_add(output),
        );
        Ok(generation)
    }

    /// Lets a run of `tokens` count towards the measured speed.
    fn learn(&self, took: Duration, tokens: u32) {
        if tokens == 0 {
            return;
        }
        let newest = took / tokens;
        let mut per_token = lock(&self.per_token);
        *per_token = if per_token.is_zero() {
            newest
        } else {
            per_token.mul_f64(1.0 - NEWEST) + newest.mul_f64(NEWEST)
        };
    }
}

/// Loads one model and runs it once, so that a model that cannot work is found
/// before a job is claimed for it.
fn load(wanted: ModelToLoad) -> Result<(ModelId, Loaded)> {
    let ModelToLoad { id, dir, manifest } = wanted;
    let start = Instant::now();
    let unusable = |error: &dyn std::fmt::Display| {
        Error::new(
            Kind::Model,
            format!("cannot run the model in {}", dir.display()),
        )
        .because(error)
        .fix("check that the folder holds a model of a supported architecture (llama), as on Hugging Face")
    };
    let loaded = Loaded {
        model: Model::load(&dir).map_err(|error| unusable(&error))?,
        stop_tokens: manifest.stop_tokens.to_vec(),
        context: manifest.limits.context,
        per_token: Mutex::new(Duration::ZERO),
    };
    let warm_up = GenerateRequest {
        model_id: id.0,
        prompt: Prompt::Tokens(vec![0]),
        sampling: Sampling::GREEDY,
        seed: [0; 32],
        max_output: WARM_UP_TOKENS.min(manifest.limits.max_output),
        // None, so that the run has its full length.
        stop_tokens: Vec::new(),
        context: manifest.limits.context,
        output_bytes: usize::MAX,
        evidence_bytes: usize::MAX,
    };
    loaded
        .run(&warm_up, &Cancel::default())
        .map_err(|error| unusable(&error))?;
    tracing::info!(
        "loaded model {} from {} in {:.1} s; about {:.0} tokens/s",
        shown(id),
        dir.display(),
        start.elapsed().as_secs_f64(),
        1.0 / lock(&loaded.per_token).as_secs_f64().max(1e-9)
    );
    Ok((id, loaded))
}

/// The engine's thread: one job after the other until nobody can send more.
fn serve(work: &mpsc::Receiver<Work>, backlog: &Mutex<Duration>) {
    while let Ok(next) = work.recv() {
        let Work {
            loaded,
            request,
            cancel,
            expected,
            what,
        } = next;
        let stopped = cancel.is_cancelled().then_some(GenerateError::Cancelled);
        // Nobody waits for the answer any more if the job was given up meanwhile.
        match what {
            What::Generate(reply) => {
                let result = stopped.map_or_else(|| loaded.run(&request, &cancel), Err);
                release(backlog, expected);
                let _ = reply.send(result);
            }
            What::Audit {
                tokens,
                seed,
                reply,
            } => {
                let audit = || loaded.model.audit(&request, &tokens, &[seed]);
                let result = stopped.map_or_else(audit, Err);
                release(backlog, expected);
                let _ = reply.send(result);
            }
        }
    }
}

fn release(backlog: &Mutex<Duration>, expected: Duration) {
    let mut backlog = lock(backlog);
    *backlog = backlog.saturating_sub(expected);
}

fn prompt(assignment: &Assignment) -> std::result::Result<Prompt, ExecutionError> {
    let text = String::from_utf8(assignment.input.clone())
        .map_err(|_| ExecutionError::Refused("its input is no UTF-8".into()))?;
    Ok(match assignment.options.format {
        InputFormat::Text => Prompt::Text(text),
        InputFormat::Messages => Prompt::Messages(text),
        InputFormat::Raw => Prompt::Raw(text),
    })
}

/// The result as the chain takes it.
fn delivery(
    generation: &Generation,
    assignment: &Assignment,
) -> std::result::Result<Delivery, ExecutionError> {
    let output = generation.text.clone().into_bytes();
    let evidence = evidence::encode(&generation.tokens);
    let units = u32::try_from(generation.tokens.len()).unwrap_or(u32::MAX);
    let fits = generation.prompt_tokens <= assignment.max_input_units
        && units <= assignment.max_output_units
        && output.len() <= assignment.max_output_bytes as usize
        && evidence.len() <= assignment.max_evidence_bytes as usize;
    if !fits {
        return Err(ExecutionError::Refused(format!(
            "the result exceeds the job's limits: {} input tokens, {units} output tokens, {} bytes of output, {} of evidence",
            generation.prompt_tokens,
            output.len(),
            evidence.len()
        )));
    }
    Ok(Delivery {
        output,
        evidence,
        claim: ResultClaim {
            usage: Usage {
                input: generation.prompt_tokens,
                output: units,
            },
            fault: fault(generation.finish),
            trace: H256(generation.trace),
            engine_version: ENGINE_VERSION,
        },
    })
}

fn fault(finish: Finish) -> Option<Fault> {
    match finish {
        Finish::Stop | Finish::Length | Finish::ByteLimit => None,
        Finish::Fault { code, position } => Some(Fault {
            code: match code {
                genesisflow_engine::FaultCode::ActivationOverflow => FaultCode::ActivationOverflow,
                genesisflow_engine::FaultCode::KeyValueOverflow => FaultCode::KeyValueOverflow,
                genesisflow_engine::FaultCode::Template => FaultCode::Template,
            },
            position,
        }),
    }
}

/// Locks; a panic elsewhere leaves these plain numbers usable.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use genesisflow_primitives::JobOptions;

    fn assignment() -> Assignment {
        Assignment {
            job: 1,
            model: ModelId::repeat_byte(1),
            input: b"hello".to_vec(),
            options: JobOptions::default(),
            seed: H256::zero(),
            max_input_units: 7,
            max_output_units: 3,
            max_output_bytes: 48,
            max_evidence_bytes: 12,
        }
    }

    fn generation() -> Generation {
        Generation {
            prompt_tokens: 7,
            tokens: vec![5, 300, 2],
            text: "héllo".into(),
            trace: [9; 32],
            finish: Finish::Stop,
        }
    }

    #[test]
    fn a_generation_is_delivered_as_the_chain_reads_it() {
        let delivery = delivery(&generation(), &assignment()).unwrap();
        assert_eq!(delivery.output, "héllo".as_bytes());
        assert_eq!(evidence::decode(&delivery.evidence), Ok(vec![5, 300, 2]));
        let usage = Usage {
            input: 7,
            output: 3,
        };
        assert_eq!(delivery.claim.usage, usage);
        assert_eq!(delivery.claim.fault, None);
        assert_eq!(delivery.claim.trace, H256([9; 32]));
        assert_eq!(delivery.claim.engine_version, ENGINE_VERSION);
    }

    #[test]
    fn a_fault_is_delivered_with_what_came_before_it() {
        let mut faulty = generation();
        faulty.finish = Finish::Fault {
            code: genesisflow_engine::FaultCode::KeyValueOverflow,
            position: 9,
        };
        let delivery = delivery(&faulty, &assignment()).unwrap();
        let fault = Fault {
            code: FaultCode::KeyValueOverflow,
            position: 9,
        };
        assert_eq!(delivery.claim.fault, Some(fault));
        assert_eq!(delivery.claim.usage.output, 3);
    }

    #[test]
    fn a_result_that_the_chain_would_refuse_is_not_delivered() {
        let limits: [fn(&mut Assignment); 4] = [
            |job| job.max_input_units = 6,
            |job| job.max_output_units = 2,
            |job| job.max_output_bytes = 5,
            |job| job.max_evidence_bytes = 3,
        ];
        for limit in limits {
            let mut tight = assignment();
            limit(&mut tight);
            assert!(
                matches!(
                    delivery(&generation(), &tight),
                    Err(ExecutionError::Refused(_))
                ),
                "{tight:?}"
            );
        }
    }

    #[test]
    fn input_that_is_no_text_is_refused() {
        let mut binary = assignment();
        binary.input = vec![0xff];
        assert!(matches!(prompt(&binary), Err(ExecutionError::Refused(_))));
    }
}

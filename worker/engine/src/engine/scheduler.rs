//! The engine's thread: which rows go through the layers in the next step.
//!
//! Running jobs that decode have a row each; what is left of the step's rows goes to replays, which
//! have deadlines, and then to prompts, in the order they were let in. A job is let in when the
//! blocks it can need at most are there, so it always comes to its end. Replays take no job's place:
//! as many of them as of jobs may run beside these.

use std::{ops::ControlFlow, sync::Arc, time::Instant};

use crate::{
    backend::{DeviceError, Pool},
    decoder::{Run, RunOutput},
    job::Job,
    kv::{BlockPool, Lease},
    model::Model,
    request::GenerateError,
    threads::check_arithmetic,
};

use super::{
    handle::Event,
    queue::{Queue, Room, Ticket, Work},
    EngineOptions,
};

pub(super) struct Scheduler {
    model: Arc<Model>,
    queue: Arc<Queue>,
    /// Where keys and values lie, and what computes.
    compute: Box<dyn Pool>,
    /// Who holds which of its blocks.
    pool: BlockPool,
    running: Vec<Running>,
    options: EngineOptions,
}

/// A job that was let in.
struct Running {
    work: Work,
    ticket: Ticket,
    lease: Lease,
    /// Rows it has in the current step.
    rows: usize,
}

impl Scheduler {
    pub(super) fn new(
        model: Arc<Model>,
        queue: Arc<Queue>,
        compute: Box<dyn Pool>,
        blocks: u32,
        options: EngineOptions,
    ) -> Self {
        Self {
            compute,
            pool: BlockPool::new(blocks),
            running: Vec::new(),
            model,
            queue,
            options,
        }
    }

    /// Runs until the queue says to end.
    pub(super) fn run(mut self) {
        self.model.decoder().settle_caller();
        if check_arithmetic().is_err() {
            return;
        }
        while self.queue.go_on(self.running.len(), self.pool.held()) {
            self.drop_cancelled();
            self.let_in();
            if let Err(error) = self.step() {
                self.fail(&error);
                return;
            }
        }
    }

    /// The device is gone: ends every job, and refuses those that come.
    fn fail(&mut self, error: &DeviceError) {
        self.queue.fail(error);
        for index in (0..self.running.len()).rev() {
            self.end(index, Err(error.clone().into()));
        }
    }

    fn drop_cancelled(&mut self) {
        for index in (0..self.running.len()).rev() {
            if self.running[index].ticket.is_cancelled() {
                self.end(index, Err(GenerateError::Cancelled));
            }
        }
    }

    /// Takes a job out; `Ok` if its result was sent already.
    fn end(&mut self, index: usize, result: Result<(), GenerateError>) {
        let Running {
            work,
            ticket,
            lease,
            ..
        } = self.running.remove(index);
        self.pool.release(lease);
        if let Err(error) = result {
            work.fail(&ticket, error);
        }
    }

    fn let_in(&mut self) {
        loop {
            let limit = self.options.running.max(1);
            let replays = self.running.iter().filter(|r| r.work.is_replay()).count();
            let room = Room {
                replays: replays < limit,
                jobs: self.running.len() - replays < limit,
            };
            let (pool, prefix_cache) = (&mut self.pool, self.options.prefix_cache);
            let admitted = self.queue.take(room, |mut work, ticket| {
                let feed = work.feed();
                let shareable = if prefix_cache { feed.shareable() } else { &[] };
                match pool.lease(shareable, feed.positions) {
                    None => Err((work, ticket)),
                    Some(lease) => {
                        feed.fed = lease.filled;
                        Ok(Running {
                            work,
                            ticket,
                            lease,
                            rows: 0,
                        })
                    }
                }
            });
            match admitted {
                Some(running) => self.running.push(running),
                None => return,
            }
        }
    }

    fn step(&mut self) -> Result<(), DeviceError> {
        let mut left = self.options.step_rows.max(self.running.len());
        for running in &mut self.running {
            running.rows = usize::from(running.work.feed().left() == 1);
            left -= running.rows;
        }
        for replays in [true, false] {
            for running in &mut self.running {
                if running.rows == 0 && running.work.is_replay() == replays {
                    running.rows = running.work.feed().left().min(left);
                    left -= running.rows;
                }
            }
        }
        let mut runs = Vec::with_capacity(self.running.len());
        for running in self.running.iter_mut().filter(|r| r.rows > 0) {
            let (rows, table) = (running.rows, running.lease.table.clone());
            let feed = running.work.feed();
            let (tokens, sampled_from) = feed.next(rows);
            runs.push(Run {
                tokens: tokens.to_vec(),
                first: feed.fed,
                table,
                sampled_from,
                choice: Some(feed.choice),
            });
        }
        if !runs.is_empty() {
            let outputs = self.compute.step(runs)?;
            self.hand_out(outputs);
        }
        Ok(())
    }

    /// Gives every job of the step what it made.
    fn hand_out(&mut self, outputs: Vec<RunOutput>) {
        let mut outputs = outputs.into_iter();
        let mut over = Vec::new();
        for (index, running) in self.running.iter_mut().enumerate() {
            if running.rows == 0 {
                continue;
            }
            let Some(output) = outputs.next() else { break };
            let feed = running.work.feed();
            feed.fed += running.rows;
            if self.options.prefix_cache && output.fault.is_none() {
                self.pool
                    .publish(&mut running.lease, &feed.tokens[..feed.fed]);
            }
            if let Some(result) = running.absorb(&self.model, output) {
                over.push((index, result));
            }
        }
        for (index, result) in over.into_iter().rev() {
            self.end(index, result);
        }
    }
}

impl Running {
    /// Takes in what a step gave; says how the job ended, if it did.
    fn absorb(&mut self, model: &Model, output: RunOutput) -> Option<Result<(), GenerateError>> {
        match &mut self.work {
            Work::Generate(job, events) => {
                let absorbed = job.absorb(model, output, &mut |token| {
                    // Nobody listens any more if the handle is gone; the ticket tells then.
                    let _ = events.unbounded_send(Event::Token(token, Instant::now()));
                    ControlFlow::Continue(())
                });
                match absorbed {
                    Ok(None) => None,
                    Ok(Some(result)) => {
                        self.ticket.generated(events, Ok(result));
                        Some(Ok(()))
                    }
                    Err(error) => Some(Err(error)),
                }
            }
            Work::Replay(job, result) => {
                let go_on = &mut |_| ControlFlow::Continue(());
                match job.absorb(model, output, go_on) {
                    Ok(None) => None,
                    Ok(Some(audit)) => {
                        if let Some(result) = result.take() {
                            // Nobody listens any more if the handle is gone.
                            let _ = result.send(Ok(audit));
                        }
                        Some(Ok(()))
                    }
                    Err(error) => Some(Err(error)),
                }
            }
        }
    }
}

impl Drop for Scheduler {
    /// However the thread ends, nobody waits for it any more.
    fn drop(&mut self) {
        for running in self.running.drain(..) {
            running.work.fail(&running.ticket, GenerateError::Cancelled);
        }
        self.queue.clear();
    }
}

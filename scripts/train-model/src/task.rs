//! The tasks, and how a question with its one right answer is drawn.

use std::fmt;

use crate::dates::{days_in_month, Date, FIRST_YEAR, LAST_YEAR};
use crate::language::Language;
use crate::numbers::{self, words};
use crate::phrasebook::{Phrase, ADJECTIVES, MAX_COUNT, NOUNS};
use crate::question::{phrasings, plus};
use crate::random::Random;
use crate::split;

/// The largest operand of a sum.
pub const MAX_OPERAND: u32 = 99;

/// What a question asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Task {
    /// "Write 342 in words."
    NumberToWords,
    /// "Which number is three hundred and forty-two?"
    WordsToNumber,
    /// "What is twelve plus thirty?" or, a quarter of the time, "What is 12 + 30?", answered in words.
    Sum,
    /// "How do you say the date 1984-03-15?"
    Date,
    /// "How do you say 'three red apples' in French?"
    Phrasebook,
}

impl Task {
    /// Every task, in the order of the tables.
    pub const ALL: [Task; 5] = [
        Task::NumberToWords,
        Task::WordsToNumber,
        Task::Sum,
        Task::Date,
        Task::Phrasebook,
    ];
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Task::NumberToWords => "number to words",
            Task::WordsToNumber => "words to number",
            Task::Sum => "sum",
            Task::Date => "date",
            Task::Phrasebook => "phrasebook",
        })
    }
}

/// Which part of the split a question is drawn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// What the model is trained on.
    Training,
    /// What it has never seen.
    HeldOut,
}

/// A question with its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The task.
    pub task: Task,
    /// The language that the question is asked in.
    pub language: Language,
    /// The prompt, as a person would type it.
    pub question: String,
    /// The one right answer.
    pub answer: String,
}

impl Sample {
    /// A random question of `task` in `language` from `part`.
    pub fn draw(task: Task, language: Language, part: Part, random: &mut Random) -> Sample {
        let held_out = part == Part::HeldOut;
        let phrasing = *random.pick(phrasings(task, language));
        let (question, answer) = match task {
            Task::NumberToWords => {
                let n = number(held_out, random);
                (fill(phrasing, &n.to_string()), words(language, n))
            }
            Task::WordsToNumber => {
                let n = number(held_out, random);
                (fill(phrasing, &words(language, n)), n.to_string())
            }
            Task::Sum => {
                let (a, b) = operands(held_out, random);
                let digits = random.chance(25);
                let operand = |n: u32| {
                    if digits {
                        n.to_string()
                    } else {
                        words(language, n)
                    }
                };
                let plus = if digits && random.chance(50) {
                    "+"
                } else {
                    plus(language)
                };
                let terms = format!("{} {plus} {}", operand(a), operand(b));
                (fill(phrasing, &terms), words(language, a + b))
            }
            Task::Date => {
                let date = date(held_out, random);
                (fill(phrasing, &date.iso()), date.spoken(language))
            }
            Task::Phrasebook => {
                let phrase = until(|| {
                    let phrase = Phrase {
                        count: random.between(1, MAX_COUNT),
                        adjective: random.below(ADJECTIVES.len() as u32) as usize,
                        noun: random.below(NOUNS.len() as u32) as usize,
                    };
                    (split::phrase_is_held_out(phrase) == held_out).then_some(phrase)
                });
                let target = until(|| {
                    let target = *random.pick(&Language::ALL);
                    (target != language).then_some(target)
                });
                let mut question = phrasing.replace("{L}", language.name_of(target));
                if random.chance(30) {
                    question = question.replace("'{}'", "\"{}\"");
                }
                (fill(&question, &phrase.text(language)), phrase.text(target))
            }
        };
        Sample {
            task,
            language,
            question: as_typed(question, random),
            answer,
        }
    }
}

fn fill(phrasing: &str, content: &str) -> String {
    phrasing.replace("{}", content)
}

/// Draws until there is one. Both parts of every split are large, so this ends soon.
fn until<T>(mut draw: impl FnMut() -> Option<T>) -> T {
    loop {
        if let Some(value) = draw() {
            return value;
        }
    }
}

/// Training sees small numbers more often than an even draw would show them.
fn number(held_out: bool, random: &mut Random) -> u32 {
    until(|| {
        let n = match random.below(4) {
            0 if !held_out => random.between(0, 99),
            0 | 1 => random.between(0, 999),
            _ => random.between(0, numbers::MAX),
        };
        (split::number_is_held_out(n) == held_out).then_some(n)
    })
}

/// Training sees sums of small numbers, the first that a person tries, more often.
fn operands(held_out: bool, random: &mut Random) -> (u32, u32) {
    until(|| {
        let largest = if !held_out && random.chance(15) {
            20
        } else {
            MAX_OPERAND
        };
        let (a, b) = (random.between(0, largest), random.between(0, largest));
        (split::sum_is_held_out(a, b) == held_out).then_some((a, b))
    })
}

fn date(held_out: bool, random: &mut Random) -> Date {
    until(|| {
        let (year, month) = (random.between(FIRST_YEAR, LAST_YEAR), random.between(1, 12));
        let date = Date {
            year,
            month,
            day: random.between(1, days_in_month(year, month)),
        };
        (!split::number_is_held_out(year) && split::date_is_held_out(date) == held_out)
            .then_some(date)
    })
}

/// People leave out the capital or the final mark now and then.
fn as_typed(question: String, random: &mut Random) -> String {
    let mut question = question;
    if random.chance(10) {
        question = lower_first_letter(&question);
    }
    if random.chance(10) {
        let kept = question.trim_end_matches(['?', '.']).trim_end().len();
        question.truncate(kept);
    }
    question
}

fn lower_first_letter(text: &str) -> String {
    let mut lowered = false;
    text.chars()
        .map(|c| {
            if !lowered && c.is_alphabetic() {
                lowered = true;
                c.to_lowercase().next().unwrap_or(c)
            } else {
                c
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn draw_many(part: Part, seed: u64, per_cell: usize) -> Vec<Sample> {
        let mut random = Random::new(seed, 0);
        let mut out = Vec::new();
        for task in Task::ALL {
            for language in Language::ALL {
                for _ in 0..per_cell {
                    out.push(Sample::draw(task, language, part, &mut random));
                }
            }
        }
        out
    }

    #[test]
    fn the_same_seed_gives_the_same_corpus() {
        assert_eq!(
            draw_many(Part::Training, 7, 50),
            draw_many(Part::Training, 7, 50)
        );
        assert_ne!(
            draw_many(Part::Training, 7, 50),
            draw_many(Part::Training, 8, 50)
        );
    }

    #[test]
    fn no_held_out_question_is_ever_trained_on() {
        let training: HashSet<String> = draw_many(Part::Training, 1, 4000)
            .into_iter()
            .map(|sample| sample.question)
            .collect();
        for sample in draw_many(Part::HeldOut, 2, 400) {
            assert!(
                !training.contains(&sample.question),
                "{} is in both parts",
                sample.question
            );
        }
    }

    #[test]
    fn the_content_of_a_question_is_filled_in() {
        for sample in draw_many(Part::Training, 3, 200) {
            assert!(!sample.question.contains('{'), "{}", sample.question);
            assert!(!sample.answer.is_empty());
        }
    }

    #[test]
    fn a_held_out_number_never_shows_up_in_training_in_any_wording() {
        let n = (200..1000)
            .find(|&n| split::number_is_held_out(n))
            .expect("some number is held out");
        for sample in draw_many(Part::Training, 4, 2000) {
            if sample.task == Task::WordsToNumber {
                assert_ne!(sample.answer, n.to_string());
            }
            if sample.task == Task::NumberToWords {
                assert_ne!(sample.answer, words(sample.language, n));
            }
        }
    }

    #[test]
    fn a_lowered_question_keeps_its_opening_mark() {
        assert_eq!(lower_first_letter("¿Cómo se dice?"), "¿cómo se dice?");
    }
}

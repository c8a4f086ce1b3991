//! Special tokens that a message spells out, which must stay text.
//!
//! A chat is one text when the template has rendered it. If somebody writes `<|im_end|>` into a
//! message, the tokenizer would take it for the end of that message, and what follows for another
//! speaker's words. So spellings in messages are marked before they are rendered, and found again
//! afterwards.

use std::{borrow::Cow, collections::HashMap};

use crate::template::{Message, TemplateFault};

/// Characters that Unicode keeps for such use inside a program.
const MARKS: std::ops::RangeInclusive<char> = '\u{fdd0}'..='\u{fdef}';

/// The texts of a tokenizer's special tokens.
#[derive(Debug)]
pub(super) struct Spellings {
    /// By first character, the longest first.
    by_first: HashMap<char, Vec<String>>,
}

/// A part of a rendered text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// The template's text and what messages say: special tokens are special.
    Rendered(&'a str),
    /// A special token as somebody spelled it.
    Spelled(&'a str),
}

impl Spellings {
    pub(super) fn new(tokens: impl Iterator<Item = String>) -> Self {
        let mut by_first: HashMap<char, Vec<String>> = HashMap::new();
        for token in tokens {
            if let Some(first) = token.chars().next() {
                by_first.entry(first).or_default().push(token);
            }
        }
        for tokens in by_first.values_mut() {
            tokens.sort_by_key(|token| std::cmp::Reverse(token.len()));
        }
        Self { by_first }
    }

    /// The special token that `text` begins with, the longest one.
    fn at_start(&self, text: &str) -> Option<&str> {
        let tokens = self.by_first.get(&text.chars().next()?)?;
        let found = tokens.iter().find(|token| text.starts_with(&token[..]));
        found.map(String::as_str)
    }

    fn occur_in(&self, text: &str) -> bool {
        text.char_indices()
            .any(|(at, _)| self.at_start(&text[at..]).is_some())
    }

    /// The messages with a mark after the first character of every spelling, and the mark; `None`
    /// if there is no spelling.
    ///
    /// # Errors
    /// [`TemplateFault`] if the messages use up all possible marks.
    pub(super) fn mark(
        &self,
        messages: &[Message],
    ) -> Result<Option<(Vec<Message>, char)>, TemplateFault> {
        let texts = || messages.iter().flat_map(|m| [&m.role, &m.content]);
        if !texts().any(|text| self.occur_in(text)) {
            return Ok(None);
        }
        let Some(mark) = MARKS.into_iter().find(|m| !texts().any(|t| t.contains(*m))) else {
            return Err(TemplateFault(
                "the messages spell special tokens and use all of U+FDD0 to U+FDEF".into(),
            ));
        };
        let marked = messages.iter().map(|message| Message {
            role: self.marked(&message.role, mark),
            content: self.marked(&message.content, mark),
        });
        Ok(Some((marked.collect(), mark)))
    }

    fn marked(&self, text: &str, mark: char) -> String {
        let mut out = String::with_capacity(text.len() + 8);
        for (at, character) in text.char_indices() {
            out.push(character);
            if self.at_start(&text[at..]).is_some() {
                out.push(mark);
            }
        }
        out
    }

    /// Takes the marks out of a rendered text again. Returns the text, and where in it special
    /// tokens are spelled, in ascending order and apart.
    pub(super) fn find<'a>(
        &self,
        rendered: &'a str,
        mark: char,
    ) -> (Cow<'a, str>, Vec<std::ops::Range<usize>>) {
        if !rendered.contains(mark) {
            return (Cow::Borrowed(rendered), Vec::new());
        }
        let mut text = String::with_capacity(rendered.len());
        let mut starts = Vec::new();
        let mut last = 0;
        for character in rendered.chars() {
            if character == mark {
                starts.push(last);
            } else {
                last = text.len();
                text.push(character);
            }
        }
        let mut spelled: Vec<std::ops::Range<usize>> = Vec::new();
        for start in starts {
            // The template may have cut a spelling in two or changed it: then it is none.
            let Some(token) = self.at_start(&text[start..]) else {
                continue;
            };
            let end = start + token.len();
            match spelled.last_mut() {
                Some(before) if start < before.end => before.end = before.end.max(end),
                _ => spelled.push(start..end),
            }
        }
        (Cow::Owned(text), spelled)
    }
}

/// A text cut at the spellings in it.
pub(super) fn pieces(text: &str, spelled: Vec<std::ops::Range<usize>>) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut from = 0;
    for range in spelled {
        pieces.push(Piece::Rendered(&text[from..range.start]));
        from = range.end;
        pieces.push(Piece::Spelled(&text[range]));
    }
    pieces.push(Piece::Rendered(&text[from..]));
    pieces.retain(|piece| !matches!(piece, Piece::Rendered("")));
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spellings() -> Spellings {
        let tokens = ["<s>", "<<", "<|end|>", "<|endoftext|>", "é!"];
        Spellings::new(tokens.into_iter().map(String::from))
    }

    fn message(content: &str) -> Message {
        Message {
            role: "user".into(),
            content: content.into(),
        }
    }

    /// The pieces of a text that a template copies as it is, with `around` before and after it.
    fn shown(content: &str, around: &str) -> Vec<(bool, String)> {
        let spellings = spellings();
        let Some((marked, mark)) = spellings.mark(&[message(content)]).unwrap() else {
            return vec![];
        };
        let rendered = format!("{around}{}{around}", marked[0].content);
        let (text, spelled) = spellings.find(&rendered, mark);
        assert_eq!(text, format!("{around}{content}{around}"));
        pieces(&text, spelled)
            .into_iter()
            .map(|piece| match piece {
                Piece::Rendered(text) => (false, text.to_owned()),
                Piece::Spelled(text) => (true, text.to_owned()),
            })
            .collect()
    }

    #[test]
    fn spellings_in_messages_are_found_again_and_those_of_the_template_are_not() {
        let found = |content: &str| {
            let pieces = shown(content, "<s>");
            pieces
                .into_iter()
                .map(|(s, t)| format!("{}{t}", ["", "!"][usize::from(s)]))
                .collect::<Vec<_>>()
        };
        assert_eq!(found("a<|end|>b"), ["<s>a", "!<|end|>", "b<s>"]);
        assert_eq!(found("<s>"), ["<s>", "!<s>", "<s>"]);
        assert_eq!(
            found("<|end|><|end|>"),
            ["<s>", "!<|end|>", "!<|end|>", "<s>"]
        );
        // Those that overlap are one piece.
        assert_eq!(found("x<<<|end|>"), ["<s>x", "!<<<|end|>", "<s>"]);
        assert_eq!(found("xé!y"), ["<s>x", "!é!", "y<s>"]);
        assert!(found("nothing < s> <|e|>").is_empty());
        // Somebody else's mark stays, another one is taken.
        assert_eq!(found("\u{fdd0}<s>"), ["<s>\u{fdd0}", "!<s>", "<s>"]);
    }

    #[test]
    fn marks_that_the_template_tears_off_vanish() {
        let spellings = spellings();
        let (marked, mark) = spellings.mark(&[message("<|end|>")]).unwrap().unwrap();
        let rendered = marked[0].content.to_uppercase();
        let (text, spelled) = spellings.find(&rendered, mark);
        assert_eq!((&text[..], spelled), ("<|END|>", vec![]));
        let all: String = MARKS.chain("<s>".chars()).collect();
        assert!(spellings.mark(&[message(&all)]).is_err());
    }
}

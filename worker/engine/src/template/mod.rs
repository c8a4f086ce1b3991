//! Chat templates: from messages to the prompt's text.
//!
//! Part of the definition: no clock, no random source, steps counted instead of timed, so a
//! template gives the same text, or fails, on every machine.

mod bounded;
mod json;
mod methods;
mod weighing;

use std::collections::BTreeMap;

use minijinja::{
    context,
    machinery::{self, CodeGenerator},
    syntax::SyntaxConfig,
    value::Serde,
    AutoEscape, Environment, Error, ErrorKind, Value,
};
use serde::{Deserialize, Serialize};

/// Steps of the template interpreter before a rendering counts as endless. A step is also what 64
/// bytes that it reads or writes cost, so that this bounds its memory.
pub const TEMPLATE_STEPS: u64 = 1_000_000;

/// Longest source of a template, in bytes. The longest in use have about 20 KB.
pub const TEMPLATE_SOURCE: usize = 256 << 10;

/// Longest rendered prompt, in bytes.
pub const TEMPLATE_BYTES: usize = 1 << 20;

const NAME: &str = "chat_template";

/// One message of a conversation. Other keys than these are refused, not ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// Who speaks: `system`, `user` or `assistant`, as the template knows them.
    pub role: String,
    /// What is said.
    pub content: String,
}

/// The template, or the messages it was given, failed: a fault, the same on every machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TemplateFault(pub String);

/// A chat template.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    syntax: SyntaxConfig,
    source: String,
    /// Special tokens by the names templates use, such as `bos_token`.
    special_tokens: Vec<(String, String)>,
}

impl ChatTemplate {
    /// Takes a template and tries it on one user message.
    ///
    /// `special_tokens`: names such as `bos_token` with their text.
    ///
    /// # Errors
    /// [`TemplateFault`] if it does not compile, or cannot render a single user message.
    pub fn new(
        source: String,
        special_tokens: Vec<(String, String)>,
    ) -> Result<Self, TemplateFault> {
        if source.len() > TEMPLATE_SOURCE {
            return Err(TemplateFault(format!(
                "the chat template has {} bytes, more than {TEMPLATE_SOURCE}",
                source.len()
            )));
        }
        let syntax = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build();
        let template = Self {
            environment: environment(),
            syntax: syntax.map_err(|e| fault(&e))?,
            source,
            special_tokens,
        };
        template.render(&[Message {
            role: "user".into(),
            content: "Hello".into(),
        }])?;
        Ok(template)
    }

    /// The prompt's text for these messages, ready for the assistant's answer.
    ///
    /// # Errors
    /// [`TemplateFault`] if the template raises, fails, does not end within [`TEMPLATE_STEPS`] or
    /// writes more than [`TEMPLATE_BYTES`].
    pub fn render(&self, messages: &[Message]) -> Result<String, TemplateFault> {
        let special: BTreeMap<&str, &str> = self
            .special_tokens
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_str()))
            .collect();
        let context = context! {
            messages => Serde(messages),
            add_generation_prompt => true,
            ..Value::from(Serde(special))
        };
        // Compiled anew each time, which takes less than to tokenize what it renders.
        let tree = machinery::parse(&self.source, NAME, self.syntax.clone())
            .and_then(|tree| weighing::guarded(&tree))
            .map_err(|e| fault(&e))?;
        let mut code = CodeGenerator::new(NAME, &self.source);
        code.compile_stmt(&tree);
        let (instructions, blocks) = code.finish();
        let mut text = String::new();
        let mut out = machinery::make_string_output(&mut text);
        machinery::eval(
            &self.environment,
            &instructions,
            context,
            &blocks,
            &mut out,
            AutoEscape::None,
        )
        .map_err(|e| fault(&e))?;
        if text.len() > TEMPLATE_BYTES {
            return Err(TemplateFault(format!(
                "the chat template wrote {} bytes, more than {TEMPLATE_BYTES}",
                text.len()
            )));
        }
        Ok(text)
    }
}

/// Reads a list of messages in the OpenAI form.
///
/// # Errors
/// [`TemplateFault`] if it is not a list with at least one message, each with a `role` and a
/// `content`, both strings, and nothing else.
pub fn parse_messages(json: &str) -> Result<Vec<Message>, TemplateFault> {
    let messages: Vec<Message> = serde_json::from_str(json)
        .map_err(|e| TemplateFault(format!("the messages cannot be read: {e}")))?;
    if messages.is_empty() {
        return Err(TemplateFault("the list of messages is empty".into()));
    }
    Ok(messages)
}

/// What templates written for Hugging Face's renderer expect: its whitespace rules, Python's
/// methods of strings and maps, `raise_exception`, `tojson` without HTML escapes.
fn environment() -> Environment<'static> {
    // Has the library's own filters, tests and functions; none of them reads a clock or is random.
    let mut environment = Environment::new();
    environment.set_fuel(Some(TEMPLATE_STEPS));
    environment.set_unknown_method_callback(methods::call);
    environment.add_function(
        "raise_exception",
        |message: String| -> Result<Value, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, message))
        },
    );
    environment.add_filter("tojson", json::to_json);
    environment.add_filter(weighing::NAME, weighing::weigh);
    environment
}

fn fault(error: &Error) -> TemplateFault {
    TemplateFault(match error.kind() {
        ErrorKind::OutOfFuel => {
            format!(
                "the chat template did not end within {TEMPLATE_STEPS} steps (a step is also what \
                 64 bytes cost)"
            )
        }
        _ => format!("the chat template failed: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHATML: &str = "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' \
        + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}{% if add_generation_prompt %}\
        {{ '<|im_start|>assistant\\n' }}{% endif %}";

    fn user(content: &str) -> Vec<Message> {
        vec![Message {
            role: "user".into(),
            content: content.into(),
        }]
    }

    #[test]
    fn chatml_renders_as_its_authors_meant() {
        let template = ChatTemplate::new(CHATML.into(), vec![]).unwrap();
        assert_eq!(
            template.render(&user("Hi <b>&\"'")).unwrap(),
            "<|im_start|>user\nHi <b>&\"'<|im_end|>\n<|im_start|>assistant\n"
        );
    }

    #[test]
    fn python_methods_special_tokens_and_a_guarded_clock_work() {
        let source = "{{ bos_token }}{% if strftime_now is defined %}{{ strftime_now('%d') }}\
            {% endif %}{{ messages[0].content.strip().upper() }}{{ messages[0]|tojson }}";
        let template =
            ChatTemplate::new(source.into(), vec![("bos_token".into(), "<s>".into())]).unwrap();
        assert_eq!(
            template.render(&user(" a ")).unwrap(),
            "<s>A{\"role\": \"user\", \"content\": \" a \"}"
        );
    }

    #[test]
    fn templates_that_cannot_render_are_refused() {
        for source in [
            "{{ strftime_now('%d') }}",
            "{% for",
            "{{ raise_exception('no') }}",
            "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
            "{% set ns = namespace(s='xxxxxxxxxxxxxxxx') %}{% for i in range(70000) %}\
             {{ ns.s }}{% endfor %}",
            "{{ messages.nothing.more }}",
        ] {
            let error = ChatTemplate::new(source.into(), vec![]).unwrap_err();
            assert!(error.0.contains("chat template"), "{error}");
        }
    }

    #[test]
    fn a_template_may_fail_on_some_messages_only() {
        let source = "{% if messages|length > 1 %}{{ raise_exception('one only') }}{% endif %}x";
        let template = ChatTemplate::new(source.into(), vec![]).unwrap();
        let two = [user("a"), user("b")].concat();
        assert!(template.render(&two).unwrap_err().0.contains("one only"));
    }

    #[test]
    fn only_lists_of_messages_are_messages() {
        assert_eq!(
            parse_messages(r#"[{"role":"user","content":"é"}]"#).unwrap(),
            user("é")
        );
        for json in [
            "",
            "[]",
            "{}",
            "[1]",
            r#"[{"role":"user"}]"#,
            r#"[{"role":"user","content":null}]"#,
            r#"[{"role":"user","content":"a","name":"b"}]"#,
            r#"[{"role":"user","role":"user","content":"a"}]"#,
        ] {
            assert!(parse_messages(json).is_err(), "{json}");
        }
    }
}

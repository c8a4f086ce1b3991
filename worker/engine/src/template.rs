//! Chat templates: from messages to the prompt's text.
//!
//! Part of the definition: no clock, no random source, steps counted instead of timed, so a
//! template gives the same text, or fails, on every machine.

use std::{collections::BTreeMap, io};

use minijinja::{
    context, syntax::SyntaxConfig, value::Serde, Environment, Error, ErrorKind, Value,
};
use serde::{Deserialize, Serialize};

/// Steps of the template interpreter before a rendering counts as endless.
pub const TEMPLATE_STEPS: u64 = 1_000_000;

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

/// A compiled chat template.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    /// Special tokens by the names templates use, such as `bos_token`.
    special_tokens: Vec<(String, String)>,
}

impl ChatTemplate {
    /// Compiles a template and tries it on one user message.
    ///
    /// `special_tokens`: names such as `bos_token` with their text.
    ///
    /// # Errors
    /// [`TemplateFault`] if it does not compile, or cannot render a single user message.
    pub fn new(
        source: String,
        special_tokens: Vec<(String, String)>,
    ) -> Result<Self, TemplateFault> {
        let mut environment = environment().map_err(|e| fault(&e))?;
        environment
            .add_template_owned(NAME, source)
            .map_err(|e| fault(&e))?;
        let template = Self {
            environment,
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
        let template = self.environment.get_template(NAME).map_err(|e| fault(&e))?;
        let special: BTreeMap<&str, &str> = self
            .special_tokens
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_str()))
            .collect();
        let mut out = Bounded(Vec::new());
        template
            .render_captured_to(
                context! { messages => Serde(messages), add_generation_prompt => true, ..Value::from(Serde(special)) },
                &mut out,
            )
            .map_err(|e| fault(&e))?;
        String::from_utf8(out.0).map_err(|e| TemplateFault(e.to_string()))
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
fn environment() -> Result<Environment<'static>, Error> {
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .build()?;
    // Has the library's own filters, tests and functions; none of them reads a clock or is random.
    let mut environment = Environment::new();
    environment.set_syntax(syntax);
    environment.set_fuel(Some(TEMPLATE_STEPS));
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_function(
        "raise_exception",
        |message: String| -> Result<Value, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, message))
        },
    );
    environment.add_filter("tojson", |value: &Value| -> Result<Value, Error> {
        let mut json = Vec::new();
        let mut serializer = serde_json::Serializer::with_formatter(&mut json, PythonStyle);
        value
            .serialize(&mut serializer)
            .map_err(|e| Error::new(ErrorKind::BadSerialization, e.to_string()))?;
        Ok(Value::from_safe_string(
            String::from_utf8_lossy(&json).into_owned(),
        ))
    });
    Ok(environment)
}

/// JSON as Python's `json.dumps` spaces it, which is what templates were written for.
struct PythonStyle;

impl serde_json::ser::Formatter for PythonStyle {
    fn begin_array_value<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}

fn fault(error: &Error) -> TemplateFault {
    TemplateFault(match error.kind() {
        ErrorKind::OutOfFuel => {
            format!("the chat template did not end within {TEMPLATE_STEPS} steps")
        }
        _ => format!("the chat template failed: {error}"),
    })
}

/// A buffer that refuses to grow beyond [`TEMPLATE_BYTES`].
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > TEMPLATE_BYTES {
            return Err(io::Error::other("the rendered prompt is too long"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
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

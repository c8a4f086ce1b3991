//! Python's methods of strings, maps and lists, paid for with the interpreter's fuel.
//!
//! The interpreter pays for what its own operators and filters read and write, and so bounds their
//! memory too. The methods come from another crate that does not: one `replace` could ask for more
//! memory than any machine has. So their price is taken before they run.

use minijinja::{value::ValueKind, Error, ErrorKind, State, Value};
use minijinja_contrib::pycompat::unknown_method_callback;

/// Bytes that one unit of fuel pays for, as inside the interpreter.
const BYTES: usize = 64;
/// Bytes of a value in a list, as inside the interpreter.
const SLOT: usize = 32;

/// Calls a method; for [`minijinja::Environment::set_unknown_method_callback`].
///
/// # Errors
/// [`ErrorKind::OutOfFuel`] if the template has not enough left for it; what the method says.
pub(super) fn call(
    state: &mut State,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    let Some(text) = value.as_str() else {
        if value.kind() == ValueKind::Seq && method == "count" {
            pay(state, SLOT.saturating_mul(value.len().unwrap_or(0)))?;
        }
        return unknown_method_callback(state, value, method, args);
    };
    let read: usize = args.iter().filter_map(|a| Some(a.as_str()?.len())).sum();
    pay(state, text.len().saturating_add(read))?;
    let text_of = |index: usize| args.get(index).and_then(Value::as_str);
    match method {
        "join" => {
            let [values] = args else {
                return Err(missing("join takes one list"));
            };
            // Written by the interpreter's own filter, which pays as it goes.
            return state.apply_filter("join", &[values.clone(), value.clone()]);
        }
        "format" => {
            return Err(Error::new(
                ErrorKind::UnknownMethod,
                "str.format is not available; put texts together with ~",
            ));
        }
        "replace" => {
            if let (Some(old), Some(new)) = (text_of(0), text_of(1)) {
                let places = match old {
                    "" => text.len() + 1,
                    old => text.matches(old).count(),
                };
                pay(state, places.saturating_mul(new.len()))?;
            }
        }
        "split" => {
            let parts = match text_of(0) {
                Some("") | None => text.split_whitespace().count(),
                Some(separator) => text.matches(separator).count(),
            };
            pay(state, SLOT.saturating_mul(parts + 1))?;
        }
        "splitlines" => pay(state, SLOT.saturating_mul(text.matches('\n').count() + 1))?,
        "strip" | "lstrip" | "rstrip" => {
            let characters = text_of(0).map_or(1, str::len);
            pay(state, text.len().saturating_mul(characters))?;
        }
        "startswith" | "endswith" if text_of(0).is_none() => {
            let [options] = args else {
                return Err(missing("startswith and endswith take one argument"));
            };
            // A list may be repeated without being held; this pays for all of it.
            let options = state.apply_filter("list", std::slice::from_ref(options))?;
            return unknown_method_callback(state, value, method, &[options]);
        }
        _ => {}
    }
    unknown_method_callback(state, value, method, args)
}

/// Takes the price of so many bytes.
pub(super) fn pay(state: &State, bytes: usize) -> Result<(), Error> {
    state.consume_fuel(bytes.div_ceil(BYTES) as u64)
}

fn missing(what: &'static str) -> Error {
    Error::new(ErrorKind::MissingArgument, what)
}

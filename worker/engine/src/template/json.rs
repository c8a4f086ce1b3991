//! JSON as Python's `json.dumps` spaces it, which is what templates were written for.

use std::io;

use minijinja::{value::Kwargs, Error, ErrorKind, State, Value};
use serde::Serialize;

use super::{bounded::Bounded, methods::pay};

/// Steps' worth of bytes for each byte that is written: to walk a value costs more than to copy
/// bytes. The interpreter's own price.
const PRICE: usize = 16;

/// The filter `tojson`, without HTML escapes.
///
/// # Errors
/// [`ErrorKind::OutOfFuel`] if the template has not enough left for what it writes.
pub(super) fn to_json(state: &State, value: &Value, options: Kwargs) -> Result<Value, Error> {
    if options.get::<Option<bool>>("ensure_ascii")? == Some(true) {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            "tojson writes characters beyond ASCII as they are",
        ));
    }
    options.assert_all_used()?;
    let left = state.fuel_levels().map_or(u64::MAX, |(_, left)| left);
    let limit = usize::try_from(left).unwrap_or(usize::MAX);
    let mut json = Bounded::new(limit.saturating_mul(64) / PRICE);
    let mut serializer = serde_json::Serializer::with_formatter(&mut json, PythonStyle);
    let written = value.serialize(&mut serializer);
    if json.is_full {
        return Err(ErrorKind::OutOfFuel.into());
    }
    written.map_err(|e| Error::new(ErrorKind::BadSerialization, e.to_string()))?;
    pay(state, json.bytes.len().saturating_mul(PRICE))?;
    let json = String::from_utf8_lossy(&json.bytes).into_owned();
    Ok(Value::from_safe_string(json))
}

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

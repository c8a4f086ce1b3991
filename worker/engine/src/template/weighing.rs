//! Lists within lists are weighed before anything walks through them.
//!
//! The interpreter pays for what it makes. But a list that holds another one twice, which holds
//! another one twice, costs next to nothing to make, and sixty of them take longer than the age of
//! the world to compare or to write down; nor does it cost anything to add a list to itself, again
//! and again. So every operand and argument passes [`weigh`], which adds up what a walk through it
//! would meet, and ends at a limit.

use minijinja::{
    machinery::ast::{self, BinOpKind, CallArg, Expr, Filter, Spanned, Stmt, UnaryOpKind},
    value::ValueKind,
    Error, ErrorKind, State, Value,
};

use super::methods::pay;

/// The filter's name. A template that calls it gets its own value back.
pub(super) const NAME: &str = "__weigh";

/// Filters and tests that look at a value from outside only. They need no weighing, which the
/// interpreter would take for the making of another list, at half a step for each item.
const LOOKS: [&str; 16] = [
    "count",
    "default",
    "defined",
    "false",
    "first",
    "float",
    "integer",
    "iterable",
    "length",
    "mapping",
    "none",
    "number",
    "sequence",
    "string",
    "true",
    "undefined",
];

/// Most that one value may weigh, in bytes: its texts, and [`SLOT`] for each item.
const MAX_WEIGHT: usize = 16 << 20;
const SLOT: usize = 32;
/// Deepest nesting of lists and maps.
const MAX_DEPTH: usize = 64;

/// Hands a value on, if it is not too heavy.
///
/// # Errors
/// [`ErrorKind::OutOfFuel`] if it is, or if there is not enough fuel left for a walk through it.
pub(super) fn weigh(state: &State, value: Value) -> Result<Value, Error> {
    if value.as_object().is_some() {
        let mut left = MAX_WEIGHT;
        walk(&value, 0, &mut left)?;
        // A step for 256 items: long conversations are asked for their length again and again.
        pay(state, (MAX_WEIGHT - left) / SLOT / 4)?;
    }
    Ok(value)
}

fn walk(value: &Value, depth: usize, left: &mut usize) -> Result<(), Error> {
    let weight = SLOT + value.as_str().map_or(0, str::len);
    match left.checked_sub(weight) {
        Some(rest) if depth <= MAX_DEPTH => *left = rest,
        _ => return Err(ErrorKind::OutOfFuel.into()),
    }
    let Some(object) = value.as_object() else {
        return Ok(());
    };
    match value.kind() {
        ValueKind::Map => {
            for (key, item) in object.try_iter_pairs().into_iter().flatten() {
                walk(&key, depth + 1, left)?;
                walk(&item, depth + 1, left)?;
            }
        }
        ValueKind::Seq | ValueKind::Iterable => {
            for item in object.try_iter().into_iter().flatten() {
                walk(&item, depth + 1, left)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// A statement with the filter around every operand and argument.
///
/// # Errors
/// For statements that load other templates, which a chat template does not have.
pub(super) fn guarded<'a>(statement: &Stmt<'a>) -> Result<Stmt<'a>, Error> {
    Ok(match statement {
        Stmt::Template(s) => Stmt::Template(Spanned::new(
            ast::Template {
                children: bodies(&s.children)?,
            },
            s.span(),
        )),
        Stmt::EmitExpr(s) => {
            let expr = operand(&s.expr);
            Stmt::EmitExpr(Spanned::new(ast::EmitExpr { expr }, s.span()))
        }
        Stmt::EmitRaw(s) => Stmt::EmitRaw(Spanned::new(ast::EmitRaw { raw: s.raw }, s.span())),
        Stmt::ForLoop(s) => Stmt::ForLoop(Spanned::new(
            ast::ForLoop {
                target: inner(&s.target),
                iter: inner(&s.iter),
                filter_expr: s.filter_expr.as_ref().map(inner),
                recursive: s.recursive,
                body: bodies(&s.body)?,
                else_body: bodies(&s.else_body)?,
            },
            s.span(),
        )),
        Stmt::IfCond(s) => Stmt::IfCond(Spanned::new(
            ast::IfCond {
                expr: inner(&s.expr),
                true_body: bodies(&s.true_body)?,
                false_body: bodies(&s.false_body)?,
            },
            s.span(),
        )),
        Stmt::WithBlock(s) => {
            let assignments = s.assignments.iter();
            Stmt::WithBlock(Spanned::new(
                ast::WithBlock {
                    assignments: assignments.map(|(to, e)| (inner(to), inner(e))).collect(),
                    body: bodies(&s.body)?,
                },
                s.span(),
            ))
        }
        Stmt::Set(s) => Stmt::Set(Spanned::new(
            ast::Set {
                target: inner(&s.target),
                expr: inner(&s.expr),
            },
            s.span(),
        )),
        Stmt::SetBlock(s) => Stmt::SetBlock(Spanned::new(
            ast::SetBlock {
                target: inner(&s.target),
                filter: s.filter.as_ref().map(inner),
                body: bodies(&s.body)?,
            },
            s.span(),
        )),
        Stmt::AutoEscape(s) => Stmt::AutoEscape(Spanned::new(
            ast::AutoEscape {
                enabled: inner(&s.enabled),
                body: bodies(&s.body)?,
            },
            s.span(),
        )),
        Stmt::FilterBlock(s) => Stmt::FilterBlock(Spanned::new(
            ast::FilterBlock {
                filter: inner(&s.filter),
                filter_span: s.filter_span,
                body: bodies(&s.body)?,
            },
            s.span(),
        )),
        Stmt::Macro(s) => Stmt::Macro(macro_of(s)?),
        Stmt::CallBlock(s) => Stmt::CallBlock(Spanned::new(
            ast::CallBlock {
                call: call(&s.call),
                call_expr_span: s.call_expr_span,
                macro_decl: macro_of(&s.macro_decl)?,
            },
            s.span(),
        )),
        Stmt::Continue(s) => Stmt::Continue(Spanned::new(ast::Continue, s.span())),
        Stmt::Break(s) => Stmt::Break(Spanned::new(ast::Break, s.span())),
        Stmt::Do(s) => Stmt::Do(Spanned::new(
            ast::Do {
                call: call(&s.call),
            },
            s.span(),
        )),
        // Only there if somebody else compiles the library with them.
        #[allow(unreachable_patterns)]
        _ => {
            return Err(Error::new(
                ErrorKind::InvalidOperation,
                "a chat template is one file: no blocks, imports or includes",
            ))
        }
    })
}

fn bodies<'a>(body: &[Stmt<'a>]) -> Result<Vec<Stmt<'a>>, Error> {
    body.iter().map(guarded).collect()
}

fn macro_of<'a>(s: &Spanned<ast::Macro<'a>>) -> Result<Spanned<ast::Macro<'a>>, Error> {
    let node = ast::Macro {
        name: s.name,
        args: s.args.iter().map(inner).collect(),
        defaults: s.defaults.iter().map(inner).collect(),
        body: bodies(&s.body)?,
    };
    Ok(Spanned::new(node, s.span()))
}

fn call<'a>(e: &Spanned<ast::Call<'a>>) -> Spanned<ast::Call<'a>> {
    let expr = match &e.expr {
        // A method, of an object that it may walk through.
        Expr::GetAttr(method) => Expr::GetAttr(Spanned::new(
            ast::GetAttr {
                expr: operand(&method.expr),
                name: method.name,
            },
            method.span(),
        )),
        function => inner(function),
    };
    let args = arguments(&e.args);
    Spanned::new(ast::Call { expr, args }, e.span())
}

/// An expression in which everything is guarded, but not its own value.
fn inner<'a>(expression: &Expr<'a>) -> Expr<'a> {
    let span = expression.span();
    let all = |items: &[Expr<'a>]| items.iter().map(inner).collect();
    match expression {
        Expr::Var(e) => Expr::Var(Spanned::new(ast::Var { id: e.id }, span)),
        Expr::Const(e) => {
            let value = e.value.clone();
            Expr::Const(Spanned::new(ast::Const { value }, span))
        }
        Expr::Slice(e) => Expr::Slice(Spanned::new(
            ast::Slice {
                expr: inner(&e.expr),
                start: e.start.as_ref().map(inner),
                stop: e.stop.as_ref().map(inner),
                step: e.step.as_ref().map(inner),
            },
            span,
        )),
        Expr::UnaryOp(e) => Expr::UnaryOp(Spanned::new(
            ast::UnaryOp {
                op: match e.op {
                    UnaryOpKind::Not => UnaryOpKind::Not,
                    UnaryOpKind::Neg => UnaryOpKind::Neg,
                },
                expr: inner(&e.expr),
            },
            span,
        )),
        Expr::BinOp(e) => {
            let (left, right) = match e.op {
                BinOpKind::ScAnd | BinOpKind::ScOr => (inner(&e.left), inner(&e.right)),
                _ => (operand(&e.left), operand(&e.right)),
            };
            let op = e.op;
            Expr::BinOp(Spanned::new(ast::BinOp { op, left, right }, span))
        }
        Expr::Compare(e) => {
            let ops = e.ops.iter().map(|o| ast::CompareOp {
                op: o.op,
                expr: operand(&o.expr),
            });
            let node = ast::Compare {
                expr: operand(&e.expr),
                ops: ops.collect(),
            };
            Expr::Compare(Spanned::new(node, span))
        }
        Expr::IfExpr(e) => Expr::IfExpr(Spanned::new(
            ast::IfExpr {
                test_expr: inner(&e.test_expr),
                true_expr: inner(&e.true_expr),
                false_expr: e.false_expr.as_ref().map(inner),
            },
            span,
        )),
        Expr::Filter(e) => {
            let looks = e.name != "string" && LOOKS.contains(&e.name);
            let node = Filter {
                name: e.name,
                expr: e
                    .expr
                    .as_ref()
                    .map(|e| if looks { inner(e) } else { operand(e) }),
                args: arguments(&e.args),
            };
            Expr::Filter(Spanned::new(node, span))
        }
        Expr::Test(e) => {
            let looks = LOOKS.contains(&e.name);
            let node = ast::Test {
                name: e.name,
                expr: if looks {
                    inner(&e.expr)
                } else {
                    operand(&e.expr)
                },
                args: arguments(&e.args),
            };
            Expr::Test(Spanned::new(node, span))
        }
        Expr::GetAttr(e) => {
            let (expr, name) = (inner(&e.expr), e.name);
            Expr::GetAttr(Spanned::new(ast::GetAttr { expr, name }, span))
        }
        Expr::GetItem(e) => Expr::GetItem(Spanned::new(
            ast::GetItem {
                expr: inner(&e.expr),
                subscript_expr: operand(&e.subscript_expr),
            },
            span,
        )),
        Expr::Call(e) => Expr::Call(call(e)),
        Expr::List(e) => {
            let items = all(&e.items);
            Expr::List(Spanned::new(ast::List { items }, span))
        }
        Expr::Tuple(e) => {
            let items = all(&e.items);
            Expr::Tuple(Spanned::new(ast::Tuple { items }, span))
        }
        Expr::Map(e) => Expr::Map(Spanned::new(
            ast::Map {
                keys: e.keys.iter().map(operand).collect(),
                values: all(&e.values),
            },
            span,
        )),
    }
}

fn arguments<'a>(arguments: &[CallArg<'a>]) -> Vec<CallArg<'a>> {
    let guarded = arguments.iter().map(|argument| match argument {
        CallArg::Pos(e) => CallArg::Pos(operand(e)),
        CallArg::Kwarg(name, e) => CallArg::Kwarg(name, operand(e)),
        CallArg::PosSplat(e) => CallArg::PosSplat(operand(e)),
        CallArg::KwargSplat(e) => CallArg::KwargSplat(operand(e)),
    });
    guarded.collect()
}

/// An expression that is weighed, with everything within it.
fn operand<'a>(expression: &Expr<'a>) -> Expr<'a> {
    let value = inner(expression);
    // Constants are not large, and some places ask for them.
    if matches!(value, Expr::Const(_)) {
        return value;
    }
    let span = value.span();
    let node = Filter {
        name: NAME,
        expr: Some(value),
        args: Vec::new(),
    };
    Expr::Filter(Spanned::new(node, span))
}

//! Text to expectations.

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Holds,
    HoldsNot,
}

/// Longer ones first: `>=` is not `>`.
const OPERATORS: [(&str, Operator); 9] = [
    ("==", Operator::Equal),
    ("!=", Operator::NotEqual),
    ("<=", Operator::LessOrEqual),
    (">=", Operator::GreaterOrEqual),
    ("!~", Operator::HoldsNot),
    ("=", Operator::Equal),
    ("<", Operator::Less),
    (">", Operator::Greater),
    ("~", Operator::Holds),
];

/// What is made of the values that a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fold {
    All,
    Any,
    Count,
    Sum,
    Min,
    Max,
}

/// The right side of a comparison.
#[derive(Debug)]
pub struct Condition {
    pub path: Vec<Segment>,
    pub operator: Operator,
    pub value: Value,
    /// The value as it was typed.
    pub text: String,
}

/// A key, and what the elements of its list must be like.
#[derive(Debug)]
pub struct Segment {
    pub key: String,
    pub filter: Option<Vec<Condition>>,
}

#[derive(Debug)]
pub struct Expectation {
    pub fold: Fold,
    pub condition: Condition,
}

pub fn expectation(text: &str) -> Result<Expectation> {
    let mut rest = Rest(text.trim());
    let fold = fold(&mut rest)?;
    let path = path(&mut rest)?;
    if fold != Fold::All {
        ensure!(rest.take(")"), "a bracket is open at {:?}", rest.0);
    }
    let operator = operator(&mut rest)?;
    let (value, text) = value(rest.0)?;
    let condition = Condition {
        path,
        operator,
        value,
        text,
    };
    Ok(Expectation { fold, condition })
}

/// What is not read yet.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    fn take(&mut self, token: &str) -> bool {
        let found = self.0.trim_start().strip_prefix(token);
        self.0 = found.unwrap_or(self.0);
        found.is_some()
    }

    fn until(&mut self, ends: impl Fn(char) -> bool) -> &'a str {
        let text = self.0.trim_start();
        let (taken, rest) = text.split_at(text.find(ends).unwrap_or(text.len()));
        self.0 = rest;
        taken
    }
}

fn fold(rest: &mut Rest<'_>) -> Result<Fold> {
    let name = rest
        .0
        .find(|character: char| !character.is_ascii_alphabetic());
    let Some((name, after)) = name.map(|end| rest.0.split_at(end)) else {
        return Ok(Fold::All);
    };
    let Some(inside) = after.strip_prefix('(') else {
        return Ok(Fold::All);
    };
    rest.0 = inside;
    Ok(match name {
        "any" => Fold::Any,
        "count" => Fold::Count,
        "sum" => Fold::Sum,
        "min" => Fold::Min,
        "max" => Fold::Max,
        _ => bail!("no function is called {name:?}"),
    })
}

fn path(rest: &mut Rest<'_>) -> Result<Vec<Segment>> {
    let mut path = Vec::new();
    loop {
        let key = rest
            .until(|character| !(character.is_ascii_alphanumeric() || "_-".contains(character)));
        ensure!(!key.is_empty(), "a key is missing at {:?}", rest.0);
        let filter = rest.take("[").then(|| filter(rest)).transpose()?;
        path.push(Segment {
            key: key.to_owned(),
            filter,
        });
        if !rest.take(".") {
            return Ok(path);
        }
    }
}

fn filter(rest: &mut Rest<'_>) -> Result<Vec<Condition>> {
    let mut conditions = Vec::new();
    loop {
        let path = path(rest)?;
        let operator = operator(rest)?;
        let (value, text) = value(rest.until(|character| ",]".contains(character)))?;
        conditions.push(Condition {
            path,
            operator,
            value,
            text,
        });
        if rest.take("]") {
            return Ok(conditions);
        }
        ensure!(rest.take(","), "a filter is open at {:?}", rest.0);
    }
}

fn operator(rest: &mut Rest<'_>) -> Result<Operator> {
    let found = OPERATORS.iter().find(|(token, _)| rest.take(token));
    let (_, operator) = found.with_context(|| format!("an operator is missing at {:?}", rest.0))?;
    Ok(*operator)
}

fn value(text: &str) -> Result<(Value, String)> {
    let text = text.trim();
    ensure!(!text.is_empty(), "the value is missing");
    let value = serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
    let text = value.as_str().unwrap_or(text).to_owned();
    Ok((value, text))
}

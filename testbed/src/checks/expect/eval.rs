//! Expectations against a document.

use std::cmp::Ordering;

use serde_json::Value;

use super::parse::{Condition, Expectation, Fold, Operator, Segment};

/// A long report would hide what matters.
const SHOWN: usize = 20;

/// Whether an expectation holds; else what was seen.
pub fn holds(expectation: &Expectation, document: &Value) -> Result<(), String> {
    let Expectation { fold, condition } = expectation;
    let mut values = find(&condition.path, document);
    let number = match fold {
        Fold::All | Fold::Any => {
            let mut each = values.iter().map(|value| compare(condition, value));
            let fine = if *fold == Fold::Any {
                each.any(|fine| fine)
            } else {
                each.all(|fine| fine)
            };
            return if fine && !values.is_empty() {
                Ok(())
            } else {
                Err(seen(&values))
            };
        }
        Fold::Count => {
            values = values.into_iter().flat_map(elements).collect();
            values.retain(|value| !value.is_null());
            Some(Value::from(values.len()))
        }
        Fold::Sum => Some(Value::from(numbers(&values).sum::<f64>())),
        Fold::Min => numbers(&values).reduce(f64::min).map(Value::from),
        Fold::Max => numbers(&values).reduce(f64::max).map(Value::from),
    };
    match number {
        Some(number) if compare(condition, &number) => Ok(()),
        Some(number) => Err(format!("{number} of {}", seen(&values))),
        None => Err(seen(&values)),
    }
}

fn seen(values: &[&Value]) -> String {
    if values.is_empty() {
        return "saw nothing".to_owned();
    }
    let shown: Vec<String> = values.iter().take(SHOWN).map(ToString::to_string).collect();
    let more = if values.len() > SHOWN { ", …" } else { "" };
    format!("saw {}{more}", shown.join(", "))
}

fn numbers<'a>(values: &'a [&Value]) -> impl Iterator<Item = f64> + 'a {
    values.iter().filter_map(|value| value.as_f64())
}

/// Follows a path; lists on the way stand for their elements.
fn find<'a>(path: &[Segment], document: &'a Value) -> Vec<&'a Value> {
    let mut values = vec![document];
    for (index, Segment { key, filter }) in path.iter().enumerate() {
        if index > 0 {
            values = values.into_iter().flat_map(elements).collect();
        }
        values = values
            .into_iter()
            .map(|value| value.get(key).unwrap_or(&Value::Null))
            .collect();
        if let Some(filter) = filter {
            values = values.into_iter().flat_map(elements).collect();
            values.retain(|value| filter.iter().all(|condition| meets(condition, value)));
        }
    }
    values
}

fn elements(value: &Value) -> Vec<&Value> {
    value
        .as_array()
        .map_or_else(|| vec![value], |list| list.iter().collect())
}

fn meets(condition: &Condition, value: &Value) -> bool {
    let found = find(&condition.path, value);
    found.iter().any(|value| compare(condition, value))
}

fn compare(condition: &Condition, seen: &Value) -> bool {
    let Condition {
        operator,
        value,
        text,
        ..
    } = condition;
    let order = match (seen.as_f64(), value.as_f64()) {
        (Some(seen), Some(value)) => seen.partial_cmp(&value),
        _ => None,
    };
    let equal = order.map_or_else(
        || seen == value || seen.as_str() == Some(text),
        |order| order == Ordering::Equal,
    );
    let holds = || match seen.as_str() {
        Some(seen) => seen.contains(text.as_str()),
        None => seen.to_string().contains(text.as_str()),
    };
    match operator {
        Operator::Equal => equal,
        Operator::NotEqual => !equal,
        Operator::Less => order == Some(Ordering::Less),
        Operator::LessOrEqual => order.is_some_and(Ordering::is_le),
        Operator::Greater => order == Some(Ordering::Greater),
        Operator::GreaterOrEqual => order.is_some_and(Ordering::is_ge),
        Operator::Holds => holds(),
        Operator::HoldsNot => !holds(),
    }
}

//! The `JSONPath` of printer columns: fields, indexes, slices, wildcards and simple filters.
//!
//! Kubernetes has a dialect of its own (`.spec.components[*].name`, no leading `$`), so it is parsed here.

use serde_json::Value;

/// A parsed path.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonPath {
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(String),
    Index(i64),
    Slice(Option<i64>, Option<i64>, i64),
    All,
    Descend,
    /// `[?(@.path op value)]`; without an operator the path must exist.
    Filter(JsonPath, Option<(Op, Value)>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl JsonPath {
    /// Parses a path, with or without the braces and the leading dot.
    ///
    /// # Errors
    /// What is malformed.
    pub fn parse(text: &str) -> Result<Self, String> {
        let inner = text.trim();
        let inner = inner
            .strip_prefix('{')
            .and_then(|t| t.strip_suffix('}'))
            .unwrap_or(inner);
        let inner = inner.strip_prefix('$').unwrap_or(inner);
        Parser { rest: inner }.path()
    }

    /// All values that the path selects, in order.
    pub fn select<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        let mut current = vec![value];
        for step in &self.steps {
            current = current.into_iter().flat_map(|v| step.apply(v)).collect();
        }
        current
    }
}

impl Step {
    fn apply<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        match self {
            Self::Field(name) => value.get(name).into_iter().collect(),
            Self::Index(index) => at(value, *index).into_iter().collect(),
            Self::Slice(from, to, step) => slice(value, *from, *to, *step),
            Self::All => children(value),
            Self::Descend => {
                let mut all = vec![value];
                all.extend(children(value).into_iter().flat_map(|v| self.apply(v)));
                all
            }
            Self::Filter(path, test) => children(value)
                .into_iter()
                .filter(|v| holds(v, path, test.as_ref()))
                .collect(),
        }
    }
}

fn children(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(list) => list.iter().collect(),
        Value::Object(map) => map.values().collect(),
        _ => Vec::new(),
    }
}

fn at(value: &Value, index: i64) -> Option<&Value> {
    let list = value.as_array()?;
    let index = if index < 0 {
        i64::try_from(list.len()).ok()? + index
    } else {
        index
    };
    list.get(usize::try_from(index).ok()?)
}

fn slice(value: &Value, from: Option<i64>, to: Option<i64>, step: i64) -> Vec<&Value> {
    let Some(list) = value.as_array() else {
        return Vec::new();
    };
    let length = i64::try_from(list.len()).unwrap_or(i64::MAX);
    let clamp = |index: i64| {
        usize::try_from(if index < 0 { index + length } else { index }.clamp(0, length))
            .unwrap_or(0)
    };
    let (from, to) = (clamp(from.unwrap_or(0)), clamp(to.unwrap_or(length)));
    let step = usize::try_from(step).unwrap_or(1).max(1);
    list.get(from..to.max(from))
        .unwrap_or_default()
        .iter()
        .step_by(step)
        .collect()
}

fn holds(value: &Value, path: &JsonPath, test: Option<&(Op, Value)>) -> bool {
    let found = path.select(value);
    let Some((op, wanted)) = test else {
        return !found.is_empty();
    };
    found.into_iter().any(|v| {
        let order = match (v, wanted) {
            (Value::Number(a), Value::Number(b)) => a.as_f64().partial_cmp(&b.as_f64()),
            (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
            (a, b) if a == b => Some(std::cmp::Ordering::Equal),
            _ => None,
        };
        match op {
            Op::Equal => order.is_some_and(std::cmp::Ordering::is_eq),
            Op::NotEqual => !order.is_some_and(std::cmp::Ordering::is_eq),
            Op::Less => order.is_some_and(std::cmp::Ordering::is_lt),
            Op::LessOrEqual => order.is_some_and(std::cmp::Ordering::is_le),
            Op::Greater => order.is_some_and(std::cmp::Ordering::is_gt),
            Op::GreaterOrEqual => order.is_some_and(std::cmp::Ordering::is_ge),
        }
    })
}

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn path(mut self) -> Result<JsonPath, String> {
        let mut steps = Vec::new();
        while !self.rest.is_empty() {
            if self.eat("..") {
                steps.push(Step::Descend);
                if !self.rest.starts_with('[') {
                    steps.push(self.name()?);
                }
            } else if self.eat(".") {
                if self.rest.starts_with('[') || self.rest.is_empty() {
                    continue;
                }
                steps.push(self.name()?);
            } else if self.eat("[") {
                steps.push(self.bracket()?);
            } else if steps.is_empty() {
                steps.push(self.name()?);
            } else {
                return Err(format!("unexpected `{}`", self.rest));
            }
        }
        Ok(JsonPath { steps })
    }

    fn eat(&mut self, token: &str) -> bool {
        self.rest
            .strip_prefix(token)
            .map(|rest| self.rest = rest)
            .is_some()
    }

    fn name(&mut self) -> Result<Step, String> {
        let mut name = String::new();
        let mut chars = self.rest.char_indices();
        let mut end = self.rest.len();
        while let Some((i, c)) = chars.next() {
            match c {
                '\\' => name.extend(chars.next().map(|(_, c)| c)),
                '.' | '[' => {
                    end = i;
                    break;
                }
                c => name.push(c),
            }
        }
        self.rest = self.rest.get(end..).unwrap_or_default();
        match name.as_str() {
            "" => Err("a field name is missing".into()),
            "*" => Ok(Step::All),
            _ => Ok(Step::Field(name)),
        }
    }

    fn bracket(&mut self) -> Result<Step, String> {
        let inner = self.until_bracket()?.trim();
        if inner == "*" {
            return Ok(Step::All);
        }
        if let Some(filter) = inner.strip_prefix("?(").and_then(|t| t.strip_suffix(')')) {
            return self::filter(filter);
        }
        for quote in ['\'', '"'] {
            if let Some(name) = inner
                .strip_prefix(quote)
                .and_then(|t| t.strip_suffix(quote))
            {
                return Ok(Step::Field(name.replace("\\.", ".")));
            }
        }
        let number = |text: &str| {
            text.trim()
                .parse::<i64>()
                .map_err(|_| format!("`{inner}` is not an index"))
        };
        if inner.contains(':') {
            let parts: Vec<&str> = inner.split(':').collect();
            let part = |i: usize| {
                parts
                    .get(i)
                    .filter(|t| !t.trim().is_empty())
                    .map(|t| number(t))
                    .transpose()
            };
            return Ok(Step::Slice(part(0)?, part(1)?, part(2)?.unwrap_or(1)));
        }
        Ok(Step::Index(number(inner)?))
    }

    /// The text up to the closing bracket, which may hold brackets and quoted texts.
    fn until_bracket(&mut self) -> Result<&'a str, String> {
        let (mut depth, mut quote) = (0_usize, None);
        for (i, c) in self.rest.char_indices() {
            if let Some(open) = quote {
                if c == open {
                    quote = None;
                }
                continue;
            }
            match c {
                '\'' | '"' => quote = Some(c),
                '[' => depth += 1,
                ']' if depth > 0 => depth -= 1,
                ']' => {
                    let (inner, rest) = self.rest.split_at(i);
                    self.rest = rest.get(1..).unwrap_or_default();
                    return Ok(inner);
                }
                _ => {}
            }
        }
        Err("unterminated array".into())
    }
}

fn filter(text: &str) -> Result<Step, String> {
    let operators = [
        ("==", Op::Equal),
        ("!=", Op::NotEqual),
        ("<=", Op::LessOrEqual),
        (">=", Op::GreaterOrEqual),
        ("<", Op::Less),
        (">", Op::Greater),
    ];
    let found = operators
        .iter()
        .filter_map(|(token, op)| Some((text.find(token)?, *token, *op)))
        .min_by_key(|(i, ..)| *i);
    let (left, test) = match found {
        None => (text, None),
        Some((i, token, op)) => {
            let right = text.get(i + token.len()..).unwrap_or_default().trim();
            (
                text.get(..i).unwrap_or_default(),
                Some((op, literal(right)?)),
            )
        }
    };
    let path = left
        .trim()
        .strip_prefix('@')
        .ok_or("a filter starts with @")?;
    Ok(Step::Filter(JsonPath::parse(path)?, test))
}

fn literal(text: &str) -> Result<Value, String> {
    for quote in ['\'', '"'] {
        if let Some(inner) = text.strip_prefix(quote).and_then(|t| t.strip_suffix(quote)) {
            return Ok(inner.into());
        }
    }
    serde_json::from_str(text).map_err(|_| format!("`{text}` is not a literal"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn select(path: &str, value: &Value) -> Value {
        let found = JsonPath::parse(path).expect("parses");
        found.select(value).into_iter().cloned().collect()
    }

    #[test]
    fn selects_as_kubernetes_does() {
        let value = json!({"spec": {"components": [{"name": "a", "type": "x"}, {"name": "b", "type": "y"}], "a.b": 1}});
        assert_eq!(
            select(".spec.components[*].name", &value),
            json!(["a", "b"])
        );
        assert_eq!(select("{.spec.components[0].name}", &value), json!(["a"]));
        assert_eq!(select(".spec.components[-1].name", &value), json!(["b"]));
        assert_eq!(select(".spec.components[0:1].type", &value), json!(["x"]));
        assert_eq!(
            select(".spec.components[?(@.type==\"y\")].name", &value),
            json!(["b"])
        );
        assert_eq!(select(".spec['a.b']", &value), json!([1]));
        assert_eq!(select(".spec.a\\.b", &value), json!([1]));
        assert_eq!(select("..name", &value), json!(["a", "b"]));
        assert_eq!(select(".nosuch", &value), json!([]));
    }

    #[test]
    fn malformed_paths_are_errors() {
        for path in [".a[", ".a[x]", ".a[?(b)]"] {
            assert!(JsonPath::parse(path).is_err(), "{path}");
        }
    }
}

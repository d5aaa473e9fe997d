//! A component that delivers a Terraform module: its variables become the parameters.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::Draft;
use super::cue::{Field, label, literal, parameter, string};
use super::hcl::{Type, Variable, variables};

/// Parameters that say how the module is run; a variable of that name cannot be given.
const RESERVED: [&str; 2] = ["providerRef", "writeConnectionSecretToRef"];

pub(super) fn draft(folder: &str) -> Result<Draft> {
    let files = files(Path::new(folder))?;
    let mut module = String::new();
    let mut found = Vec::new();
    for file in &files {
        let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
        found.extend(variables(&text).with_context(|| file.display().to_string())?);
        module.push_str(text.trim_end());
        module.push('\n');
    }
    if let Some(taken) = found
        .iter()
        .find(|one| RESERVED.contains(&one.name.as_str()))
    {
        bail!(
            "the variable {} has the name of a parameter of every module",
            taken.name
        );
    }
    let mut names = BTreeSet::new();
    if let Some(again) = found.iter().find(|one| !names.insert(&one.name)) {
        bail!("the variable {} is declared twice", again.name);
    }
    let mut fields: Vec<Field> = found.iter().map(field).collect();
    fields.push(Field {
        name: RESERVED[0].to_owned(),
        usage: "The provider that the module runs with".to_owned(),
        type_: "{\nname: string\nnamespace: *\"default\" | string\n}".to_owned(),
        optional: true,
    });
    fields.push(Field {
        name: RESERVED[1].to_owned(),
        usage: "The Secret that the outputs are written to".to_owned(),
        type_: "{\nname: string\nnamespace: *context.namespace | string\n}".to_owned(),
        optional: true,
    });
    Ok(Draft {
        imports: Vec::new(),
        attributes: ATTRIBUTES.to_owned(),
        template: template(&module, &found, &fields),
    })
}

const ATTRIBUTES: &str = r##"{
	workload: definition: {
		apiVersion: "terraform.core.oam.dev/v1beta2"
		kind:       "Configuration"
	}
	status: {
		customStatus: #"""
			state: *"pending" | string
			if context.output.status.apply.state != _|_ {
				state: context.output.status.apply.state
			}
			message: "The module is \(state)"
			"""#
		healthPolicy: #"""
			state: *"pending" | string
			if context.output.status.apply.state != _|_ {
				state: context.output.status.apply.state
			}
			isHealth: state == "Available"
			"""#
	}
}"##;

fn template(module: &str, found: &[Variable], fields: &[Field]) -> String {
    let mut values = String::new();
    for variable in found {
        let name = label(&variable.name);
        let selected = if name == variable.name {
            format!("parameter.{name}")
        } else {
            format!("parameter[{name}]")
        };
        if optional(variable) {
            values.extend([format!("if {selected} != _|_ {{\n{name}: {selected}\n}}\n")]);
        } else {
            values.extend([format!("{name}: {selected}\n")]);
        }
    }
    let references = RESERVED
        .map(|name| format!("if parameter.{name} != _|_ {{\n{name}: parameter.{name}\n}}\n"))
        .concat();
    format!(
        "output: {{\napiVersion: \"terraform.core.oam.dev/v1beta2\"\nkind: \"Configuration\"\nspec: {{\nhcl: {}\nvariable: \
         {{\n{values}}}\n{references}}}\n}}\n{}",
        string(module.trim_end()),
        parameter(fields)
    )
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "tf") {
            files.push(path);
        }
    }
    if files.is_empty() {
        bail!("there is no .tf file in {}", folder.display());
    }
    files.sort();
    Ok(files)
}

/// A default of null stands for a value that Terraform finds itself. A list or a map as default is left to Terraform, too:
/// CUE would mix it with what is given.
fn optional(variable: &Variable) -> bool {
    let default = variable.default.as_ref();
    default.is_some_and(|value| value.is_null() || value.is_array() || value.is_object())
}

fn field(variable: &Variable) -> Field {
    let type_ = match (&variable.type_, &variable.default) {
        (Type::Any, Some(default)) => type_of_value(default),
        (type_, _) => cue(type_),
    };
    let type_ = match &variable.default {
        Some(default) if !optional(variable) => format!("*{} | {type_}", literal(default)),
        _ => type_,
    };
    Field {
        name: variable.name.clone(),
        usage: variable.description.clone(),
        type_,
        optional: optional(variable),
    }
}

fn cue(type_: &Type) -> String {
    match type_ {
        Type::Any => "_".to_owned(),
        Type::String => "string".to_owned(),
        Type::Number => "number".to_owned(),
        Type::Bool => "bool".to_owned(),
        Type::List(inner) => format!("[...{}]", cue(inner)),
        Type::Tuple(elements) => {
            let elements: Vec<String> = elements.iter().map(cue).collect();
            format!("[{}]", elements.join(", "))
        }
        Type::Map(inner) => format!("{{\n[string]: {}\n}}", cue(inner)),
        Type::Object(fields) => {
            let mut out = "{\n".to_owned();
            for (name, type_, optional) in fields {
                let mark = if *optional { "?" } else { "" };
                out.extend([format!("{}{mark}: {}\n", label(name), cue(type_))]);
            }
            out + "}"
        }
    }
}

fn type_of_value(value: &Value) -> String {
    match value {
        Value::String(_) => "string",
        Value::Number(_) => "number",
        Value::Bool(_) => "bool",
        Value::Array(_) => "[...]",
        Value::Object(_) => "{...}",
        Value::Null => "_",
    }
    .to_owned()
}

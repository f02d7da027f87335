//! `show schema json`.

use super::Command;
use crate::model::AccessLevel;

pub(super) const SHOW: Command = Command {
    path: &["show", "schema", "json"],
    access: AccessLevel::User,
    usage: "show schema json",
    doc: "the JSON schema of 'show info json' and 'show stat json'",
    run: |_, _, _| Ok(SCHEMA.to_owned()),
};

/// JSON Schema, draft 4: a list of facts, or a list of rows of cells.
const SCHEMA: &str = concat!(
    r##"{"$schema":"http://json-schema.org/draft-04/schema#","oneOf":["##,
    r##"{"title":"Info","type":"array","items":{"$ref":"#/definitions/fact"}},"##,
    r##"{"title":"Stat","type":"array","items":{"type":"array","items":{"$ref":"#/definitions/cell"}}}],"##,
    r##""definitions":{"##,
    r##""fact":{"type":"object","properties":{"field":{"$ref":"#/definitions/field"},"##,
    r##""processNum":{"type":"integer","minimum":1},"tags":{"$ref":"#/definitions/tags"},"##,
    r##""value":{"$ref":"#/definitions/typedValue"}},"required":["field","processNum","tags","value"]},"##,
    r##""cell":{"allOf":[{"$ref":"#/definitions/fact"},{"type":"object","properties":{"##,
    r##""objType":{"enum":["Frontend","Backend","Server"]},"proxyId":{"type":"integer","minimum":0},"##,
    r##""id":{"type":"integer","minimum":0}},"required":["objType","proxyId","id"]}]},"##,
    r##""field":{"type":"object","properties":{"pos":{"type":"integer","minimum":0},"name":{"type":"string"}},"##,
    r##""required":["pos","name"]},"##,
    r##""tags":{"type":"object","properties":{"##,
    r##""origin":{"enum":["Metric","Status","Key","Config","Product"]},"##,
    r##""nature":{"enum":["Gauge","Limit","Max","Rate","Counter","Duration","Age","Name","Output","Avg"]},"##,
    r##""scope":{"enum":["Process","Service"]}},"required":["origin","nature","scope"]},"##,
    r##""typedValue":{"type":"object","oneOf":["##,
    r##"{"properties":{"type":{"enum":["s32"]},"value":{"type":"integer","minimum":-2147483648,"maximum":2147483647}}},"##,
    r##"{"properties":{"type":{"enum":["u32"]},"value":{"type":"integer","minimum":0,"maximum":4294967295}}},"##,
    r##"{"properties":{"type":{"enum":["u64"]},"value":{"type":["integer","string"],"minimum":0}}},"##,
    r##"{"properties":{"type":{"enum":["str"]},"value":{"type":"string"}}}],"##,
    r##""required":["type","value"]}}}"##,
    "\n"
);

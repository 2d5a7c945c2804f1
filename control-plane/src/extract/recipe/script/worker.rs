//! The worker process: reads one [`ScriptInput`] from standard input, evaluates the script, and
//! writes a [`WorkerReply`].

use std::io::{Read as _, Write as _};
use std::process::ExitCode;
use std::rc::Rc;

use boa_engine::context::ContextBuilder;
use boa_engine::context::time::{Clock, JsInstant};
use boa_engine::property::Attribute;
use boa_engine::{Context, JsResult, JsString, JsValue, Script, Source};
use rustix::process::{Resource, Rlimit, setrlimit};

use super::confinement::confine_thread;
use super::globals::define_globals;
use super::{ScriptInput, ScriptOutput, WorkerReply};

/// Set by the parent process. Without it, the worker exits at once: a user who runs the executable
/// by hand would otherwise wait for standard input.
pub(super) const WORKER_ENV_VARIABLE: &str = "PITWALL_SCRIPT_WORKER";

const MEMORY_MAX_BYTES: u64 = 256 << 20;
const CPU_MAX_SECONDS: u64 = 2;
const STACK_BYTES: usize = 64 << 20;
const MAX_LOOP_ITERATIONS: u64 = 10_000_000;
const MAX_RECURSION_DEPTH: usize = 400;
/// Size of the script's value.
const OUTPUT_MAX_BYTES: usize = 1 << 20;

/// Checks that `code` parses as JavaScript, when the configuration is read.
pub(super) fn check_syntax(code: &str) -> Result<(), String> {
    let mut context = Context::default();
    match Script::parse(Source::from_bytes(code), None, &mut context) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("not a script: {error}")),
    }
}

/// Limits the resources of this process, confines it as far as the kernel can, evaluates the script
/// on standard input and writes the reply to standard output. The exit code is 2 if the process was not started as a worker or its
/// resources cannot be limited.
pub fn run_script_worker() -> ExitCode {
    if std::env::var_os(WORKER_ENV_VARIABLE).is_none() || apply_resource_limits().is_err() {
        return ExitCode::from(2);
    }
    let is_confined = confine_thread();
    let evaluate = move || evaluate_stdin(is_confined);
    let worker = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(evaluate);
    let reply = worker.ok().and_then(|worker| worker.join().ok()).flatten();
    let written = reply.and_then(|reply| {
        let mut out = std::io::stdout().lock();
        out.write_all(b"\n").and_then(|()| out.write_all(&reply)).and_then(|()| out.flush()).ok()
    });
    if written.is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn evaluate_stdin(is_confined: bool) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    std::io::stdin().lock().read_to_end(&mut text).ok()?;
    let output = evaluate_script(&serde_json::from_slice(&text).ok()?);
    serde_json::to_vec(&WorkerReply { output, is_confined }).ok()
}

/// Limits this process: `MEMORY_MAX_BYTES` and the stack beyond what it has mapped already,
/// `CPU_MAX_SECONDS`, files of at most twice `OUTPUT_MAX_BYTES`, and no core dump.
fn apply_resource_limits() -> std::io::Result<()> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = statm.split(' ').next().and_then(|pages| pages.parse().ok()).unwrap_or(0);
    let size = pages.saturating_mul(4096).saturating_add(MEMORY_MAX_BYTES + STACK_BYTES as u64);
    let set =
        |resource, max| setrlimit(resource, Rlimit { current: Some(max), maximum: Some(max) });
    set(Resource::As, size)?;
    set(Resource::Cpu, CPU_MAX_SECONDS)?;
    set(Resource::Core, 0)?;
    set(Resource::Fsize, OUTPUT_MAX_BYTES as u64 * 2)?;
    Ok(())
}

fn evaluate_script(input: &ScriptInput) -> ScriptOutput {
    let mut context = match prepare_context(input) {
        Ok(context) => context,
        Err(error) => return ScriptOutput::Failed(error.to_string()),
    };
    let value = context.eval(Source::from_bytes(&input.code));
    let result = value.and_then(|value| convert_output(&value, &mut context));
    match result {
        Ok(output) => output,
        Err(error) => {
            let text = error.to_string();
            match text.strip_prefix("RuntimeLimitError: ") {
                Some(limit) if limit.contains("loop") => {
                    ScriptOutput::Limited("the script looped too often".to_owned())
                }
                Some(_) => ScriptOutput::Limited("the script nested too deeply".to_owned()),
                None if text.contains("allocating") => {
                    ScriptOutput::Limited("the script used too much memory".to_owned())
                }
                None => ScriptOutput::Failed(text),
            }
        }
    }
}

/// A clock that stands at a time in unix milliseconds, so that a replay computes the same values.
struct FrozenClock(i64);

impl Clock for FrozenClock {
    fn now(&self) -> JsInstant {
        JsInstant::new(0, 0)
    }

    fn system_time_millis(&self) -> i64 {
        self.0
    }
}

fn prepare_context(input: &ScriptInput) -> JsResult<Context> {
    let mut context = ContextBuilder::new().clock(Rc::new(FrozenClock(input.now))).build()?;
    define_globals(&mut context)?;
    let limits = context.runtime_limits_mut();
    limits.set_loop_iteration_limit(MAX_LOOP_ITERATIONS);
    limits.set_recursion_limit(MAX_RECURSION_DEPTH);
    let text = |text: &str| JsValue::from(JsString::from(text));
    let variables = serde_json::to_value(&input.variables).unwrap_or_default();
    let variables = JsValue::from_json(&variables, &mut context)?;
    for (name, value) in
        [("vars", variables), ("page", text(&input.page)), ("url", text(&input.url))]
    {
        context.register_global_property(JsString::from(name), value, Attribute::all())?;
    }
    // A seeded generator, so that a replay draws the same random values.
    let random = format!(
        "{{ let s = {}; Math.random = () => {{ s = (s * 1664525 + 1013904223) % 4294967296; \
         return s / 4294967296; }}; }}",
        input.seed % 4_294_967_296
    );
    context.eval(Source::from_bytes(&random))?;
    Ok(context)
}

fn convert_output(value: &JsValue, context: &mut Context) -> JsResult<ScriptOutput> {
    if value.is_null_or_undefined() {
        return Ok(ScriptOutput::Failed("its last expression has no value".to_owned()));
    }
    let json = match value.as_string() {
        Some(text) => Some(serde_json::Value::String(text.to_std_string_lossy())),
        None => value.to_json(context)?.map(convert_whole_numbers),
    };
    let plain = |json: serde_json::Value| match json {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    };
    let output = match json {
        None => return Ok(ScriptOutput::Failed("its last expression has no value".to_owned())),
        Some(serde_json::Value::Array(items)) => {
            ScriptOutput::Items(items.into_iter().map(plain).collect())
        }
        Some(json) => ScriptOutput::Text(plain(json)),
    };
    let length = match &output {
        ScriptOutput::Items(items) => items.iter().map(String::len).sum(),
        ScriptOutput::Text(text) => text.len(),
        ScriptOutput::Failed(_) | ScriptOutput::Limited(_) => 0,
    };
    Ok(if length > OUTPUT_MAX_BYTES {
        ScriptOutput::Limited("the script yields more than 1 MiB".to_owned())
    } else {
        output
    })
}

/// Converts whole floats to integers: JavaScript's numbers are all floats, and it prints whole ones
/// without a fraction.
fn convert_whole_numbers(json: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    const EXACT_INTEGER_LIMIT: f64 = 9_007_199_254_740_992.0;
    match json {
        #[expect(clippy::cast_possible_truncation, reason = "whole, and exact up to here")]
        Value::Number(number) => match number.as_f64() {
            Some(float) if float.fract() == 0.0 && float.abs() < EXACT_INTEGER_LIMIT => {
                (float as i64).into()
            }
            _ => Value::Number(number),
        },
        Value::Array(items) => items.into_iter().map(convert_whole_numbers).collect(),
        Value::Object(members) => Value::Object(
            members.into_iter().map(|(name, value)| (name, convert_whole_numbers(value))).collect(),
        ),
        other => other,
    }
}

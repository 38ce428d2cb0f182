// Shows /openapi.json. Text is set as text, never as markup; nothing is asked of any other host.
"use strict";

function element(name, text, ...children) {
  const node = document.createElement(name);
  if (text) node.textContent = text;
  node.append(...children);
  return node;
}

function resolve(document_, value) {
  if (!value || !value.$ref) return value;
  return value.$ref.slice(2).split("/").reduce((at, key) => at[key], document_);
}

function parameters(api, operation) {
  const rows = (operation.parameters || []).map((reference) => {
    const p = resolve(api, reference);
    const schema = p.schema || {};
    const kind = schema.enum ? schema.enum.join(" | ") : [schema.type, schema.format].filter(Boolean).join(", ");
    return element("tr", "",
      element("td", "", element("code", p.name)), element("td", p.in), element("td", kind),
      element("td", p.description || ""));
  });
  if (rows.length === 0) return [];
  const head = element("tr", "", ...["name", "in", "type", "meaning"].map((title) => element("th", title)));
  return [element("table", "", head, ...rows)];
}

function section(api, path, method, operation) {
  const answers = Object.entries(operation.responses || {}).map(([status, reference]) => {
    const answer = resolve(api, reference);
    const example = Object.values(answer.content || {})[0]?.example;
    const parts = [element("p", `${status}: ${answer.description}`)];
    if (example !== undefined) {
      parts.push(element("pre", typeof example === "string" ? example : JSON.stringify(example, null, 2)));
    }
    return element("div", "", ...parts);
  });
  return element("section", "",
    element("h2", "", element("code", `${method.toUpperCase()} ${path}`)),
    element("p", operation.summary || ""),
    element("p", operation.description || ""),
    ...parameters(api, operation), ...answers);
}

async function show() {
  const main = document.getElementById("main");
  const answer = await fetch("/openapi.json");
  if (!answer.ok) throw new Error(`openapi.json: ${answer.status}`);
  const api = await answer.json();
  main.replaceChildren(
    element("h1", `${api.info.title} ${api.info.version}`),
    element("p", api.info.description),
    ...Object.entries(api.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => section(api, path, method, operation))));
}

show().catch((error) => { document.getElementById("state").textContent = `Could not load openapi.json: ${error.message}`; });

// The typed tree that messages are, as elements. The same as templates/parts/tree.html.

import { el } from "./dom.js";

export function blocks(tree) {
  return (tree ?? []).map(block).filter(Boolean);
}

function block(node) {
  switch (node.t) {
    case "p":
      return el("p", {}, ...inline(node.c));
    case "pre":
      return el("div", { class: "code" }, el("pre", { tabindex: "0" }, el("code", {}, node.v)));
    case "list":
      return el(node.ordered ? "ol" : "ul", {}, ...node.items.map((item) => el("li", {}, ...inline(item))));
    case "table":
      return table(node);
    default:
      return null;
  }
}

function table(node) {
  const head = el("tr", {}, ...node.head.map((cell) => el("th", { scope: "col" }, cell)));
  const rows = node.rows.map((row) => el("tr", {}, ...row.map((cell) => el("td", {}, cell))));
  const inner = el("table", {}, el("thead", {}, head), el("tbody", {}, ...rows));
  return el("div", { class: "table", tabindex: "0" }, inner);
}

function inline(nodes) {
  return (nodes ?? []).flatMap((node) => {
    switch (node.t) {
      case "text":
        return [node.v];
      case "code":
        return [el("code", {}, node.v)];
      case "br":
        return [el("br")];
      case "strong":
        return [el("strong", {}, ...inline(node.c))];
      case "em":
        return [el("em", {}, ...inline(node.c))];
      case "link":
        return link(node);
      default:
        return [];
    }
  });
}

function link(node) {
  if (/^https?:\/\//.test(node.href)) {
    return [el("a", { href: node.href, target: "_blank", rel: "noopener noreferrer" }, ...inline(node.c))];
  }
  if (/^\/(?!\/)/.test(node.href)) return [el("a", { href: node.href }, ...inline(node.c))];
  return [...inline(node.c), ` (${node.href})`];
}

export function plain(tree) {
  const box = el("div", {}, ...blocks(tree));
  return box.textContent;
}

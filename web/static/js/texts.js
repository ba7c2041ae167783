// The page's texts, filled in; never read as markup.

import texts from "/texts.js";

export function t(key, values = {}) {
  let text = texts[key];
  if (text === undefined) throw new Error(`no text ${key}`);
  for (const [name, value] of Object.entries(values)) text = text.replaceAll(`{${name}}`, String(value));
  return text;
}

export const has = (key) => key in texts;

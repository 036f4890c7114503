// A list that keeps itself up to date: at each news it is drawn anew, unless somebody is at it. Then nothing moves: what
// is there is brought up to date in its place, what is gone turns grey, and a button says how many new rows there are.
(() => {
  "use strict";

  let news = null;
  let wanted = false; // the button was pressed

  const list = () => document.querySelector("#list[data-news]");

  // Only while the page is seen: a browser keeps few connections to one server.
  function listen() {
    news?.close();
    news = list() && !document.hidden ? new EventSource(list().dataset.news) : null;
    news?.addEventListener("changed", ask);
  }

  function ask() {
    if (list()) htmx.trigger(list(), "changed");
  }

  function busy(part) {
    if (part.matches(":hover") || part.contains(document.activeElement)) return true;
    if (part.getBoundingClientRect().top < 0 || document.querySelector("dialog[open]")) return true;
    return part.querySelector(".op-pick input:checked") !== null;
  }

  function keep(part, text) {
    const drawn = new DOMParser().parseFromString(text, "text/html").getElementById("list");
    const rows = (list) => [...list.querySelectorAll("tbody tr")];
    const seen = rows(part);
    const now = new Map(rows(drawn).map((row) => [row.id, row]));
    const last = "more" in drawn.dataset ? rows(drawn).pop().id : ""; // what is behind it is on the next page by now
    seen.forEach((row) => {
      row.classList.toggle("op-gone", !now.has(row.id) && row.id > last);
      if (now.has(row.id)) refresh(row, now.get(row.id));
    });
    tell([...now.keys()].filter((id) => id > (seen[0]?.id ?? "")).length);
  }

  // A cell that says the same stays: a button must not go away under a finger.
  function refresh(row, drawn) {
    [...row.cells].forEach((cell, number) => {
      const now = drawn.cells[number];
      if (cell.textContent === now.textContent) return;
      cell.innerHTML = now.innerHTML;
      htmx.process(cell);
    });
  }

  function tell(count) {
    const button = document.getElementById("fresh");
    button.hidden = !count;
    button.textContent = button.dataset.text.replace("{count}", count);
  }

  document.addEventListener("htmx:before:swap", (event) => {
    if (event.target !== list()) return; // somebody filters, sorts or pages
    if (wanted || !busy(event.target)) {
      wanted = false;
      tell(0);
    } else {
      event.preventDefault();
      keep(event.target, event.detail.ctx.text);
    }
  });
  document.addEventListener("click", (event) => {
    if (event.target.id !== "fresh") return;
    wanted = true;
    ask();
  });
  document.addEventListener("visibilitychange", listen);
  document.addEventListener("DOMContentLoaded", listen);
  window.addEventListener("pagehide", () => news?.close());
  window.addEventListener("pageshow", (event) => event.persisted && listen());
})();

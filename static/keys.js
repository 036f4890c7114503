// What the keyboard does: the search box of the frame, and the rows of a list. Everything works without.
(() => {
  "use strict";

  const typing = (target) => target.closest("input:not([type=checkbox]), textarea, select, [contenteditable]");

  // the search box

  function hits(form) {
    return [...form.querySelectorAll(".op-hit")];
  }

  // Hits are those of the box only if they were asked for with what stands there.
  function current(form) {
    const found = form.querySelector("#found");
    return found && found.dataset.for === form.elements.q.value.trim();
  }

  function choose(form, place) {
    const all = hits(form);
    all.forEach((hit, number) => hit.setAttribute("aria-selected", String(number === place)));
    const chosen = all[place];
    if (chosen) chosen.scrollIntoView({ block: "nearest" });
    form.elements.q.setAttribute("aria-activedescendant", chosen ? chosen.id : "");
  }

  function open(hit, form) {
    if (hit.dataset.fill === undefined) return void (location.href = hit.href);
    const box = form.elements.q;
    box.value = hit.dataset.fill;
    box.focus();
    box.dispatchEvent(new Event("input", { bubbles: true }));
  }

  function onBoxKey(event) {
    const form = event.target.form;
    const all = hits(form);
    const place = all.findIndex((hit) => hit.getAttribute("aria-selected") === "true");
    if (event.isComposing) return;
    if (event.key === "ArrowDown" && all.length) choose(form, (place + 1) % all.length);
    else if (event.key === "ArrowUp" && all.length) choose(form, (place + all.length - 1) % all.length);
    else if (event.key === "Escape") event.target.blur();
    else if (event.key === "Enter" && all.length && current(form)) open(all[Math.max(place, 0)], form);
    else return;
    event.preventDefault();
  }

  function seek() {
    const box = document.getElementById("find");
    if (!box) return;
    box.focus();
    box.select();
  }

  document.addEventListener("keydown", (event) => {
    if (event.target.id === "find") return onBoxKey(event);
    const slash = event.key === "/" && !event.ctrlKey && !event.metaKey && !event.altKey && !typing(event.target);
    if (slash || (event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey))) {
      event.preventDefault();
      seek();
    }
  });
  document.addEventListener("click", (event) => {
    const hit = event.target.closest("[data-find] .op-hit[data-fill]");
    if (!hit) return;
    event.preventDefault();
    open(hit, hit.closest("form"));
  });
  document.addEventListener("htmx:after:swap", (event) => {
    const target = event.detail.ctx.target;
    const form = target instanceof Element && target.closest("[data-find]");
    if (!form) return;
    form.elements.q.setAttribute("aria-expanded", String(hits(form).length > 0));
    choose(form, 0);
  });
})();

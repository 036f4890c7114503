// What the pages do beyond plain HTML: theme, menus, dialog, toasts, copy, secrets, pickers. Everything works without.
(() => {
  "use strict";

  const root = document.documentElement;
  const night = window.matchMedia("(prefers-color-scheme: dark)");

  // Before the first paint, hence this file is not deferred.
  function paint() {
    const chosen = root.dataset.theme;
    root.dataset.bsTheme = chosen === "auto" ? (night.matches ? "dark" : "light") : chosen;
  }
  paint();
  night.addEventListener("change", paint);

  function toast(level, text) {
    const entry = document.getElementById("toast-template").content.firstElementChild.cloneNode(true);
    entry.className = `op-toast op-alert-${level}`;
    entry.querySelector("span").textContent = text;
    document.getElementById("toasts").append(entry);
    expire(entry);
  }

  function expire(entry) {
    const leave = () => {
      if (entry.matches(":hover, :focus-within")) return void setTimeout(leave, 1000);
      entry.classList.add("leaving");
      setTimeout(() => entry.remove(), 300);
    };
    setTimeout(leave, 6000);
  }

  async function copy(button, text) {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      return; // no permission, or no https: the text can still be marked by hand
    }
    button.classList.add("done");
    toast("success", document.body.dataset.copied);
    setTimeout(() => button.classList.remove("done"), 1500);
  }

  // Letters and digits that are not mistaken for one another on paper.
  function generate(length) {
    const letters = "abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    const numbers = crypto.getRandomValues(new Uint32Array(length));
    return Array.from(numbers, (number) => letters[number % letters.length]).join("");
  }

  function onClick(event) {
    const target = event.target.closest("[data-copy],[data-copy-from],[data-generate],[data-reveal],[data-print],[data-close]");
    document.querySelectorAll("details.op-menu[open]").forEach((menu) => {
      if (!menu.contains(event.target)) menu.open = false;
    });
    if (event.target.id === "dialog") return void event.target.close(); // the backdrop
    if (!target) return;
    const data = target.dataset;
    if (data.copy !== undefined) return void copy(target, data.copy);
    if (data.print !== undefined) return void window.print();
    if (data.copyFrom) return void copy(target, document.getElementById(data.copyFrom).value);
    if (data.generate) {
      const box = document.getElementById(data.generate);
      box.value = generate(Number(data.length));
      box.dispatchEvent(new Event("change", { bubbles: true }));
    }
    if (data.reveal) {
      const box = document.getElementById(data.reveal);
      box.type = box.type === "password" ? "text" : "password";
    }
    const dialog = target.closest("dialog");
    if (data.close !== undefined && dialog) {
      event.preventDefault();
      dialog.close();
    }
  }

  // A form that is on its way is not sent again by a second click.
  function onSubmit(event) {
    const form = event.target;
    if (!form.matches("[data-busy]")) return;
    if (form.classList.contains("busy")) {
      event.preventDefault();
      event.stopImmediatePropagation();
      return;
    }
    form.classList.add("busy");
  }

  // A field that matters for some choices of another one is shown for these: data-when="field choice choice".
  function fit(form) {
    form.querySelectorAll("[data-when]").forEach((field) => {
      const [name, ...choices] = field.dataset.when.split(" ");
      field.hidden = !choices.includes(form.elements[name].value);
    });
  }

  // Rows of a list that are chosen: the box in its head ticks them all, and the bar says how many there are.
  function pick(box) {
    const list = box.closest(".op-list");
    const rows = [...list.querySelectorAll("[name=id]")];
    if (box.matches("[data-pick-page]")) rows.forEach((row) => (row.checked = box.checked));
    const chosen = rows.filter((row) => row.checked).length;
    list.querySelector("[data-pick-page]").checked = chosen === rows.length;
    list.querySelector("[data-picked]").textContent = chosen;
  }

  // A tree of boxes: the box of a branch ticks all of its leaves, and shows whether all, some or none of them are ticked.
  function branches(part) {
    part.querySelectorAll("[data-branch]").forEach((box) => {
      const own = leaves(box);
      const ticked = own.filter((leaf) => leaf.checked).length;
      box.closest("label").hidden = !own.length;
      box.checked = ticked === own.length;
      box.indeterminate = ticked > 0 && ticked < own.length;
    });
  }

  function leaves(box) {
    return [...box.closest(".op-tree-group").querySelectorAll(".op-tree-row input:not(:disabled)")];
  }

  // A library that few pages need comes when one does, once: a script, or a style sheet.
  const fetched = {};
  function fetchOnce(address) {
    fetched[address] ??= new Promise((resolve, reject) => {
      const style = address.includes(".css");
      const element = document.createElement(style ? "link" : "script");
      Object.assign(element, style ? { rel: "stylesheet", href: address } : { src: address });
      Object.assign(element, { onload: resolve, onerror: reject });
      if (style) document.head.querySelector("link[rel=stylesheet]").after(element); // ours have the last word
      else document.head.append(element);
    });
    return fetched[address];
  }
  window.fetchOnce = fetchOnce;

  const { picker, pickerStyle } = document.currentScript.dataset;
  async function makePickers(part) {
    if (!part.querySelector("select[data-pick]")) return;
    await Promise.all([fetchOnce(pickerStyle), fetchOnce(picker)]);
    part.querySelectorAll("select[data-pick]:not(.tomselected)").forEach((select) => {
      new TomSelect(select, { maxOptions: 500, plugins: select.multiple ? ["remove_button"] : [] });
      select.setAttribute("aria-hidden", "true"); // the picker has taken its label
    });
  }

  // What is secret is hidden again: by its button, some seconds after it was shown, and when the page is left.
  function veil(part) {
    part.querySelectorAll("[data-secret]").forEach((shown) => {
      setTimeout(() => shown.isConnected && shown.querySelector("[data-hide]")?.click(), 1000 * shown.dataset.secret);
    });
  }

  function dress(part) {
    branches(part);
    veil(part);
    part.querySelectorAll("form:has([data-when])").forEach(fit);
    makePickers(part);
    const wrong = part.querySelector(".op-invalid input, .op-invalid select, .op-invalid textarea");
    if (wrong) {
      wrong.scrollIntoView({ block: "center" });
      wrong.focus({ preventScroll: true });
    } else {
      part.querySelector(".op-form > .op-alert")?.scrollIntoView({ block: "center" });
    }
  }

  // A file that is too large is not even sent: the server would cut the connection in the middle of it.
  function weigh(box) {
    if (!box.matches("input[data-most]") || !box.files.length || box.files[0].size <= Number(box.dataset.most)) return;
    box.value = "";
    toast("danger", box.dataset.tooBig);
  }

  document.addEventListener("click", onClick);
  document.addEventListener("change", (event) => {
    weigh(event.target);
    if (event.target.matches("[data-pick-page], .op-pick input")) pick(event.target);
    else if (event.target.form) fit(event.target.form);
    if (event.target.matches("[data-branch]")) leaves(event.target).forEach((leaf) => (leaf.checked = event.target.checked));
    if (event.target.closest(".op-tree")) branches(event.target.closest(".op-tree"));
  });
  document.addEventListener("submit", onSubmit, true); // ahead of htmx, which listens at the form
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") document.querySelectorAll("details.op-menu[open]").forEach((menu) => (menu.open = false));
  });
  document.addEventListener("toast", (event) => toast(event.detail.level, event.detail.text));
  let opener = ""; // the address of the link that led to the dialog
  function open(dialog) {
    opener = document.activeElement.getAttribute("href");
    dialog.ariaLabel = dialog.querySelector("h1")?.textContent ?? "";
    dialog.showModal();
  }

  // The browser gives the focus back to the link, unless that was drawn anew meanwhile, or its menu has closed.
  function leave(dialog) {
    dialog.replaceChildren();
    if (document.activeElement !== document.body) return;
    const link = [...document.querySelectorAll("[data-dialog]")].find((each) => each.getAttribute("href") === opener);
    const part = link?.checkVisibility() ? link : link?.closest("details")?.querySelector("summary");
    (part ?? document.getElementById("content"))?.focus({ preventScroll: true });
  }

  let held = ""; // the part that is drawn anew, where the keyboard is in it
  document.addEventListener("htmx:before:swap", ({ detail: { ctx: { target } } }) => {
    held = target instanceof Element && target.contains(document.activeElement) ? target.id : "";
  });

  // Whoever works by keyboard stays in the part that he is in, though what had the focus is gone.
  function stay() {
    if (!held || document.activeElement !== document.body) return;
    const parts = document.getElementById(held)?.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary");
    [...(parts ?? [])].find((part) => part.checkVisibility())?.focus({ preventScroll: true });
  }

  document.addEventListener("htmx:after:swap", (event) => {
    const target = event.detail.ctx.target;
    if (!(target instanceof Element)) return;
    const shown = target.isConnected ? target : document.body;
    if (shown.id === "dialog" && !shown.open && shown.childElementCount) open(shown);
    stay();
    document.querySelectorAll("#toasts > *:not([data-seen])").forEach((entry) => {
      entry.dataset.seen = "";
      expire(entry);
    });
    dress(shown);
  });
  // A list that keeps itself up to date waits while rows of it are chosen.
  document.addEventListener("htmx:before:request", (event) => {
    if (!(event.target instanceof Element)) return; // of a part that has gone meanwhile
    if (event.target.matches("#list:not([data-news])") && event.target.querySelector(".op-pick input:checked")) event.preventDefault();
  });
  document.addEventListener("htmx:finally:request", () => {
    document.querySelectorAll(".busy").forEach((form) => form.classList.remove("busy"));
  });
  document.addEventListener("htmx:error", (event) => {
    if (event.detail.ctx && !event.detail.ctx.response) toast("danger", document.body.dataset.failed);
  });
  document.addEventListener("close", (event) => event.target.id === "dialog" && leave(event.target), true);
  window.addEventListener("pagehide", () => document.querySelectorAll("[data-secret]").forEach((shown) => shown.replaceChildren()));
  window.addEventListener("pageshow", (event) => {
    document.querySelectorAll(".busy").forEach((form) => form.classList.remove("busy"));
    if (event.persisted && document.querySelector("[data-secret]")) location.reload(); // emptied as it was left
  });
  document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll("#toasts > *").forEach(expire);
    dress(document);
  });
})();

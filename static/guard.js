// What was typed and not saved is not lost by a click elsewhere: the browser asks first. "Cancel" has answered already;
// questions to a list, and what stands in dialogs, are no matter.
(() => {
  "use strict";

  const FORMS = ".op-frame main form.op-form[method=post]";
  const drawn = new WeakMap(); // form -> what stood in it at first; a form that came back with errors was never saved
  let leaving = false; // the form is on its way, or was given up

  function told(part) {
    if (part.type === "checkbox" || part.type === "radio") return part.checked;
    return part.selectedOptions ? [...part.selectedOptions].map((option) => option.value) : part.value;
  }

  const content = (form) => JSON.stringify([...form.elements].filter((part) => part.name && part.type !== "hidden").map(told));
  const unsaved = () => [...document.querySelectorAll(FORMS)].some((form) => drawn.get(form) !== content(form));

  function note() {
    document.querySelectorAll(FORMS).forEach((form) => {
      if (!drawn.has(form)) drawn.set(form, form.querySelector(".op-invalid, .op-alert-danger") ? "" : content(form));
    });
  }

  document.addEventListener("DOMContentLoaded", note);
  document.addEventListener("htmx:after:swap", note);
  document.addEventListener("submit", (event) => {
    if (event.target.matches(FORMS)) leaving = true;
  });
  document.addEventListener("htmx:finally:request", ({ detail: { ctx } }) => {
    if (ctx.request.method !== "GET" && !ctx.hx?.redirect) leaving = false;
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest("a[data-close]") && !event.defaultPrevented) leaving = true;
  });
  window.addEventListener("pageshow", () => (leaving = false));
  window.addEventListener("beforeunload", (event) => {
    if (!leaving && unsaved()) event.preventDefault();
  });
})();

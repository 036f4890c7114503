"""Forms at the edge: a pydantic model becomes HTML fields, a posted body becomes the model, errors become words."""

from saas.handlers.forms.bound import Bound, Choices
from saas.handlers.forms.page import ConfirmPage, FormPage, new_attempt

__all__ = ["Bound", "Choices", "ConfirmPage", "FormPage", "new_attempt"]

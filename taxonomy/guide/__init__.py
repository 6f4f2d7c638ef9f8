"""The guide for choosing a method: questions, hard requirements, points, and the choice they lead to."""

from taxonomy.guide.choice import Choice, Ranked, RuledOut, choose
from taxonomy.guide.questions import Option, Question, questions

__all__ = ["Choice", "Option", "Question", "Ranked", "RuledOut", "choose", "questions"]

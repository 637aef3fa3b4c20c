"""What flags with a text of some form mean, and what is said of wrong ones."""

import pytest

from engine.config import parsing


@pytest.mark.parametrize(
  'text, number, unit',
  [
    ('500', 500, 'steps'),
    ('500steps', 500, 'steps'),
    ('1step', 1, 'steps'),
    ('0', 0, 'steps'),
    ('5epochs', 5, 'epochs'),
    ('1epoch', 1, 'epochs'),
    ('2.5epochs', 2.5, 'epochs'),
    ('.5epochs', 0.5, 'epochs'),
    ('2.epochs', 2, 'epochs'),
    ('5 epochs', 5, 'epochs'),
    ('0.0epochs', 0, 'epochs'),
  ],
)
def test_length(text, number, unit):
  assert parsing.length(text) == (number, unit)


LENGTHS = [
  '',
  'often',
  '-1',
  '+1',
  '1e3',
  '2.5',
  '2.5steps',
  'epochs',
  '.',
  '.epochs',
  '1 2',
  '1,2',
  'nan',
  '5epoch s',
  '5 ep',
  ' 5',
]


@pytest.mark.parametrize('text', LENGTHS)
@pytest.mark.parametrize('function', [parsing.length, parsing.interval])
def test_no_length(function, text):
  with pytest.raises(ValueError) as error:
    function(text)
  assert str(error.value) == (
    f'has {text!r}: write steps as 500, epochs as 5epochs'
  )


@pytest.mark.parametrize(
  'text, steps',
  [
    ('500', 500),
    ('0', 0),
    ('0epochs', 0),
    ('1epoch', 11),
    ('2epochs', 21),
    ('0.5epochs', 5),
    ('0.001epochs', 1),
    ('100epochs', 1050),
  ],
)
def test_steps(text, steps):
  """Of epochs of ten and a half; rounded, but not to nothing."""
  found = parsing.length(text).steps(10.6 if text == '1epoch' else 10.5)
  assert found == steps and type(found) is int


def test_interval():
  assert parsing.interval('3') == (3, 'steps')
  for text in ('0', '0epochs', '.0epochs'):
    with pytest.raises(ValueError, match='^must be more than 0$'):
      parsing.interval(text)


def test_lengths():
  assert parsing.lengths('7') == ((7, 'steps'),)
  assert parsing.lengths('80epochs, 120.5epochs') == (
    (80, 'epochs'),
    (120.5, 'epochs'),
  )


@pytest.mark.parametrize(
  'text, complaint',
  [
    ('3,2', 'must rise, all in steps or all in epochs'),
    ('3,3', 'must rise, all in steps or all in epochs'),
    ('3,4epochs', 'must rise, all in steps or all in epochs'),
    ('3,,4', 'must be a list with a comma between two items'),
    ('3,', 'must be a list with a comma between two items'),
    ('', 'must be a list with a comma between two items'),
    ('0,3', 'must be more than 0'),
    ('3,x', "has 'x': write steps as 500, epochs as 5epochs"),
  ],
)
def test_no_lengths(text, complaint):
  with pytest.raises(ValueError) as error:
    parsing.lengths(text)
  assert str(error.value) == complaint


def test_positives():
  assert parsing.positives('0.8, 1,1.2') == (0.8, 1, 1.2)
  assert parsing.positives('1e-3') == (0.001,)


@pytest.mark.parametrize(
  'text, complaint',
  [
    ('1,0', 'must have numbers above 0'),
    ('-1', 'must have numbers above 0'),
    ('1,x', "has 'x', which is no number"),
    ('nan', "has 'nan', which is no number"),
    ('1,inf', "has 'inf', which is no number"),
    ('1;2', "has '1;2', which is no number"),
    ('1,,2', 'must be a list with a comma between two items'),
  ],
)
def test_no_positives(text, complaint):
  with pytest.raises(ValueError) as error:
    parsing.positives(text)
  assert str(error.value) == complaint


def test_factors():
  assert parsing.factors('a/logits=10, a/block1=0.1,b = 0') == {
    'a/logits': 10,
    'a/block1': 0.1,
    'b': 0,
  }
  assert parsing.factors('a=b=2') == {'a=b': 2}


@pytest.mark.parametrize(
  'text, complaint',
  [
    ('a', "has 'a': write scopes as SCOPE=NUMBER"),
    ('=3', "has '=3': write scopes as SCOPE=NUMBER"),
    ('a=', "has '', which is no number"),
    ('a=x', "has 'x', which is no number"),
    ('a=nan', "has 'nan', which is no number"),
    ('a=-1', "has 'a=-1': a factor is at least 0"),
    ('a=1,b=2,a =3', 'names a twice'),
    ('a=1,', 'must be a list with a comma between two items'),
  ],
)
def test_no_factors(text, complaint):
  with pytest.raises(ValueError) as error:
    parsing.factors(text)
  assert str(error.value) == complaint


@pytest.mark.parametrize(
  'text, first, last', [('20,30', 20, 30), ('1,1', 1, 1), ('3 , 9', 3, 9)]
)
def test_span(text, first, last):
  assert parsing.span(text) == (first, last)


@pytest.mark.parametrize(
  'text', ['', '3', '3,', '0,3', '4,3', '1,2,3', '-1,3', '1.5,3', 'a,b']
)
def test_no_span(text):
  with pytest.raises(ValueError) as error:
    parsing.span(text)
  assert str(error.value) == (
    'must be the first and the last step, such as 20,30'
  )


@pytest.mark.parametrize(
  'form, text',
  [
    ('LENGTH', '0'),
    ('LENGTH', '0.00001epochs'),
    ('INTERVAL', '500'),
    ('LENGTHS', '80epochs,120.5epochs'),
    ('POSITIVES', '0.8,1,1.2'),
    ('POSITIVES', '0.0000000001'),
    ('WHOLE', '6,12,18'),
    ('SIZE', '513'),
    ('SIZE', '513,769'),
    ('WEIGHTS', 'auto'),
    ('WEIGHTS', '0.1234567890123,1'),
    ('MASK_VALUES', '0,255'),
    ('FACTORS', 'a/logits=10,a=0.5'),
    ('SPAN', '20,30'),
    ('SCOPES', 'a,b/c'),
    ('PATHS', 'runs/a,runs/b'),
  ],
)
def test_text_of_a_value(form, text):
  """What is written is what was read."""
  form = getattr(parsing, form)
  assert form.text(form.parse(text)) == text


def test_scopes():
  assert parsing.scopes(' a , b/c,') == ('a', 'b/c')
  assert parsing.scopes('') == ()
  with pytest.raises(ValueError, match='^names no scope$'):
    parsing.scopes(' , ')


def test_paths(tmp_path):
  assert parsing.paths('a, b') == ('a', 'b')
  with_comma = tmp_path / 'a,b'
  with_comma.mkdir()
  assert parsing.paths(str(with_comma)) == (str(with_comma),)
  with pytest.raises(ValueError, match='^names nothing between two commas'):
    parsing.paths('a,,b')


@pytest.mark.parametrize(
  'text, value, canonical',
  [
    ('dice', (('dice', 1),), 'dice'),
    ('a,b:0.5', (('a', 1), ('b', 0.5)), 'a,b:0.5'),
    (' b : 2.50 , a:1', (('b', 2.5), ('a', 1)), 'b:2.5,a'),
  ],
)
def test_weighted(text, value, canonical):
  assert parsing.weighted(text) == value
  assert parsing.WEIGHTED.text(value) == canonical


@pytest.mark.parametrize(
  'text, words',
  [
    ('', 'must be a list'),
    ('a,', 'must be a list'),
    ('a:', "has '', which is no number"),
    ('a:x', "has 'x', which is no number"),
    ('a:0', "has 'a:0': a weight is above 0"),
    ('a:-1', 'a weight is above 0'),
    ('a:nan', 'is no number'),
    ('a,a:2', 'names a twice'),
    (':1', "has ':1', which has no name"),
  ],
)
def test_no_weighted(text, words):
  with pytest.raises(ValueError, match=words):
    parsing.weighted(text)

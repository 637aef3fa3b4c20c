"""The classes of public datasets of masks, in the order of their ids."""


def _names(text):
  return tuple(name.strip() for name in text.split(','))


# arXiv:1604.01685: the classes that are evaluated, by their train ids.
CITYSCAPES = _names(
  'road, sidewalk, building, wall, fence, pole, traffic light, '
  'traffic sign, vegetation, terrain, sky, person, rider, car, truck, bus, '
  'train, motorcycle, bicycle'
)

# arXiv:1608.05442: the 150 classes of the scene parsing benchmark, by how
# many pixels they have. What none of them covers comes before them.
ADE20K = _names(
  'background, wall, building, sky, floor, tree, ceiling, road, bed, '
  'windowpane, grass, cabinet, sidewalk, person, earth, door, table, '
  'mountain, plant, curtain, chair, car, water, painting, sofa, shelf, '
  'house, sea, mirror, rug, field, armchair, seat, fence, desk, rock, '
  'wardrobe, lamp, bathtub, railing, cushion, base, box, column, signboard, '
  'chest of drawers, counter, sand, sink, skyscraper, fireplace, '
  'refrigerator, grandstand, path, stairs, runway, case, pool table, '
  'pillow, screen door, stairway, river, bridge, bookcase, blind, '
  'coffee table, toilet, flower, book, hill, bench, countertop, stove, '
  'palm, kitchen island, computer, swivel chair, boat, bar, '
  'arcade machine, hovel, bus, towel, light, truck, tower, chandelier, '
  'awning, streetlight, booth, television, airplane, dirt track, apparel, '
  'pole, land, bannister, escalator, ottoman, bottle, buffet, poster, '
  'stage, van, ship, fountain, conveyer belt, canopy, washer, plaything, '
  'swimming pool, stool, barrel, basket, waterfall, tent, bag, minibike, '
  'cradle, oven, ball, food, step, tank, trade name, microwave, pot, '
  'animal, bicycle, lake, dishwasher, screen, blanket, sculpture, hood, '
  'sconce, vase, traffic light, tray, ashcan, fan, pier, crt screen, '
  'plate, monitor, bulletin board, shower, radiator, glass, clock, flag'
)

# Everingham et al., "The PASCAL Visual Object Classes Challenge", IJCV 2010.
PASCAL_VOC = _names(
  'background, aeroplane, bicycle, bird, boat, bottle, bus, car, cat, '
  'chair, cow, diningtable, dog, horse, motorbike, person, pottedplant, '
  'sheep, sofa, train, tvmonitor'
)
